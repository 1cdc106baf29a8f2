"""Pydantic models of the recipe and of every artifact; pydantic and the standard library only."""
