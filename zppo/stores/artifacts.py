"""The JSON files of committed artifacts as models."""

from typing import TypeVar

from pydantic import ValidationError

from schemas.base import Artifact
from zppo.errors import StoreError
from zppo.stores.local import LocalStore

A = TypeVar("A", bound=Artifact)


def read_artifact(store: LocalStore, path: str, name: str, model: type[A]) -> A:
    """Read one file of a committed artifact; one of an earlier schema version is brought up to date.

    Raises:
        StoreError: The file is damaged, or of a version that this program does not read.
    """
    file = store.file(path, name)
    try:
        return model.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise StoreError(f"cannot read {file}: {error.errors()[0]['msg']}") from error
