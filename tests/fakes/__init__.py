"""In-memory adapters for unit and contract tests."""
