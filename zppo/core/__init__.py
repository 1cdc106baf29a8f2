"""The method, pure: no I/O, no clock, no hidden randomness."""
