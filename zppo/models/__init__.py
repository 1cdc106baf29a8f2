"""Checkpoints: finding, loading, measuring them, and their text."""
