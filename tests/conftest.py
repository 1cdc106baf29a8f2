"""Settings of every test."""

from hypothesis import settings

# A loaded machine must not fail a test; the examples are the same on every run.
settings.register_profile("zppo", deadline=None, derandomize=True)
settings.load_profile("zppo")
