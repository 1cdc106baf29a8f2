"""Settings of every test."""

from pathlib import Path

import pytest
from hypothesis import settings

# A loaded machine must not fail a test; the examples are the same on every run.
settings.register_profile("zppo", deadline=None, derandomize=True)
settings.load_profile("zppo")


@pytest.fixture(scope="session")
def mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database to copy: making one takes seconds."""
    from zppo.tracking.client import connect

    database = tmp_path_factory.mktemp("database") / "mlflow.db"
    connect(f"sqlite:///{database}")
    return database
