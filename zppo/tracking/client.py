"""A connection to MLflow: quiet, without telemetry, and without anything ambient."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from zppo.errors import InputError, StoreError, ZppoError
from zppo.stores.files import is_disk_full

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # Every metric is in the store as well, so that waiting long for a server gains nothing.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}

_PASSWORD = re.compile(r"(://[^/@\s:]*:)[^/@\s]+@")


def connect(uri: str) -> "MlflowClient":
    """A client of the tracking server or database at `uri`, for runs and registered models alike.

    The import takes seconds, hence its place in here. Raises `InputError` when nothing answers.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    for library in ("mlflow", "alembic"):
        logging.getLogger(library).setLevel(logging.WARNING)
    # It prints the traceback of an error that it raises as well.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    try:
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.search_experiments(max_results=1)
    except MlflowException as error:
        raise InputError(
            f"MLflow does not answer at {without_password(f'{uri}: {error}')}. Start it, or unset "
            "MLFLOW_TRACKING_URI: then a SQLite file in the home directory is used"
        ) from error
    return client


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turns a failure of MLflow into a `ZppoError` that says what was being done and how to go on.

    Raises `StoreError` where the disk is full.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        if is_disk_full(error):
            raise StoreError(
                f"MLflow failed while {doing}: the disk is full ({without_password(str(error))}). Nothing is "
                "lost: free some space, and run the same command again"
            ) from error
        raise ZppoError(
            f"MLflow failed while {doing}: {without_password(str(error))}. Everything that it should show is "
            "in the store: once it answers again, run the same command again"
        ) from error


def without_password(text: str) -> str:
    """Text fit to be shown: passwords in addresses such as `https://name:password@host` become `***`."""
    return _PASSWORD.sub(r"\1***@", text)
