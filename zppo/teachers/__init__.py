"""Adapters of the ports `Teacher` and `Compressor`, and the sources of teacher responses."""
