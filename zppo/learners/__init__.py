"""Learners: one file for each way to compute an update."""
