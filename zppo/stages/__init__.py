"""Stages: recipe + ports -> artifact."""
