"""Prefect flows: thin; no algorithm in here."""
