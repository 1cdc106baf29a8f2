"""A naive second implementation of the training step, to hold the product against."""
