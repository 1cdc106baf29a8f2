"""Run configuration: one discriminated union per choice."""
