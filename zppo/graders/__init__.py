"""Adapters of the `Grader` port."""
