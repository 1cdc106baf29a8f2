"""Metrics, parameters and registered models in MLflow."""
