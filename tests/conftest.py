"""Settings of every test."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# A loaded machine must not fail a test; the examples are the same on every run.
settings.register_profile("zppo", deadline=None, derandomize=True)
settings.load_profile("zppo")


SHARING = ("tests/faults/", "tests/flows/")
"""Folders whose tests share runs of the whole pipeline, each of which takes half a minute."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep each file, and each folder of `SHARING`, in one process, so that fixtures are made once."""
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    class Together(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::", 1)[0]
            return next((folder for folder in SHARING if file.startswith(folder)), file)

    config.option.loadscopereorder = False  # the shared runs are long and come early
    return Together(config, log)


@pytest.fixture(scope="session")
def mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database to copy: making one takes seconds."""
    from zppo.tracking.client import connect

    database = tmp_path_factory.mktemp("database") / "mlflow.db"
    connect(f"sqlite:///{database}")
    return database


@pytest.fixture(scope="session")
def prefect_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty Prefect database to copy: making one takes half a minute."""
    from tests.prefect_servers import given_server

    home = tmp_path_factory.mktemp("prefect")
    with given_server(home):
        pass
    return home / "prefect" / "prefect.db"
