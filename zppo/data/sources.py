"""From a source's configuration to its rows, and to the digests of what they are read from."""

import hashlib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from schemas.config.data import (
    DataConfig,
    FilesSource,
    HubSource,
    PocketSource,
    ReasoningGymSource,
    SourceConfig,
)
from schemas.prepared import InputDigest
from zppo.data import hub
from zppo.data.files import find_files, read_file
from zppo.data.generated import read_pocket, read_reasoning_gym
from zppo.data.rows import BadRow, Row
from zppo.errors import InputError
from zppo.pocket.task import TASK_VERSION


def read_rows(source: SourceConfig) -> Iterator[Row | BadRow]:
    """All rows of a source, lazily and in order."""
    match source:
        case PocketSource():
            yield from read_pocket(source)
        case ReasoningGymSource():
            yield from read_reasoning_gym(source)
        case HubSource():
            yield from hub.read_hub(source)
        case FilesSource():
            for path in find_files(source.paths):
                yield from read_file(path, source.fields.columns)


def pin_revisions(config: DataConfig) -> DataConfig:
    """The configuration with every hub revision resolved to a commit; a pinned one stays as it is."""
    sources = tuple(hub.pin(source) if isinstance(source, HubSource) else source for source in config.sources)
    return config.model_copy(update={"sources": sources})


def input_digests(config: DataConfig) -> tuple[InputDigest, ...]:
    """What the data set is made from, for the fingerprint of the stage.

    Raises:
        InputError: A file or a package is not there, or the hub does not answer.
    """
    return tuple(digest for source in pin_revisions(config).sources for digest in _digests(source))


def _digests(source: SourceConfig) -> Iterator[InputDigest]:
    match source:
        case PocketSource():
            yield InputDigest(source=source.name, name="pocket", digest=f"version:{TASK_VERSION}")
        case ReasoningGymSource():
            name = f"reasoning_gym/{source.task}"
            yield InputDigest(source=source.name, name=name, digest=f"version:{_gym_version(source)}")
        case FilesSource():
            yield from (_file_digest(source, path) for path in find_files(source.paths))
        case HubSource():
            directory = hub.local_directory(source)
            if directory is None:
                yield InputDigest(source=source.name, name=source.path, digest=f"commit:{source.revision}")
            else:
                files = sorted(path for path in directory.rglob("*") if path.is_file())
                yield from (_file_digest(source, path) for path in files)


def _file_digest(source: SourceConfig, path: Path) -> InputDigest:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return InputDigest(source=source.name, name=str(path), digest=f"sha256:{digest}")


def _gym_version(source: ReasoningGymSource) -> str:
    try:
        return version("reasoning-gym")
    except PackageNotFoundError as error:
        raise InputError(
            f"source {source.name!r} needs the package reasoning-gym: pip install 'zppo[smollm2]'"
        ) from error
