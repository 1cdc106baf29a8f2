"""Whether an installation works, and what to do where it does not: one small check a function."""
