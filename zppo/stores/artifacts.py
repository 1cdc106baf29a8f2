"""The files of committed artifacts as models."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from schemas.base import Artifact
from schemas.errors import explain
from zppo.errors import StoreError
from zppo.stores.local import LocalStore

A = TypeVar("A", bound=Artifact)
T = TypeVar("T")


def read_artifact(store: LocalStore, path: str, name: str, model: type[A]) -> A:
    """Read one file of a committed artifact; one of an earlier schema version is brought up to date.

    Raises:
        StoreError: The file is damaged, or of a version that this program does not read.
    """
    return parse_artifact(store, path, name, model, model.model_validate_json)


def parse_artifact(
    store: LocalStore, path: str, name: str, model: type[BaseModel], parse: Callable[[bytes], T]
) -> T:
    """The same for a file whose content is made of a model, but not that alone."""
    manifest, file = store.existing(path), store.file(path, name)
    with readable(file, manifest.identity.stage, model):
        return parse(file.read_bytes())


@contextmanager
def readable(file: Path, stage: str, model: type[BaseModel]) -> Iterator[None]:
    """Read a file of an artifact in the block: what does not fit its model becomes a `StoreError`.

    Args:
        file: Directly in the directory of its artifact.
        stage: Which made it.
        model: What was expected.
    """
    try:
        yield
    except ValidationError as error:
        raise StoreError(
            f"cannot read {file}: {explain(error, model)[0]}. Expected is {_described(model)}. Go on with "
            f"the program that wrote the file; or remove {file.parent} and run the same command again, which "
            f"repeats the stage {stage!r}"
        ) from error


def _described(model: type[BaseModel]) -> str:
    version = model.model_fields.get("schema_version")
    return f"{model.__name__}, schema version {version.default} or earlier" if version else model.__name__
