"""A registered version as a directory that transformers and vLLM load, with its model card."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import ValidationError

from schemas.config.run import Runtime
from schemas.promotion import RegisteredCard
from zppo.core.modelcard import UNKNOWN, model_card
from zppo.errors import InputError, StoreError
from zppo.stores.files import DiskErrors, Operations
from zppo.tracking.registry import ModelRegistry, RegisteredVersion, files_digest, model_files
from zppo.wiring.registry import open_registry
from zppo.wiring.rollback import as_reference

CARD = "README.md"
_NEEDED = ("config.json", "tokenizer_config.json")


@dataclass(frozen=True)
class Pulled:
    """What lies in a directory now."""

    version: RegisteredVersion
    directory: Path
    files: tuple[str, ...]
    bytes: int
    unknown: int
    """Fields of the model card that a person has to fill in."""


def pull(runtime: Runtime, version: str, model: str, to: Path) -> Pulled:
    """Copy a version, check every byte, add its card, and reveal the directory whole.

    Args:
        runtime: Its home, or the tracking server that the environment names, holds the registry.
        version: `champion`, a number, or `models:/NAME/VERSION`.
        model: The registered model of the first two.
        to: A directory that is not there, or empty.

    Raises:
        InputError: There is no such version, or `to` holds something.
        StoreError: Files are damaged or missing, or the disk is full.
    """
    check_empty(to)
    registry = open_registry(runtime)
    found = registry.resolve(as_reference(version, model), model)
    files = [path for path in model_files(registry.directory(found)) if path.is_file()]
    _check_loadable(found, [file.name for file in files])
    with _revealed(to) as directory:
        for file in files:
            shutil.copyfile(file, directory / file.name)
        _check_copy(directory, found)
        (directory / CARD).write_text(card_text(registry, found), encoding="utf-8")
    written = sorted(to.iterdir())
    unknown = (to / CARD).read_text(encoding="utf-8").count(UNKNOWN)
    size = sum(file.stat().st_size for file in written)
    return Pulled(found, to, tuple(file.name for file in written), size, unknown)


def check_empty(to: Path) -> None:
    """Raise `InputError` where a directory could not be revealed without touching what is there."""
    if to.is_symlink() or (to.exists() and not to.is_dir()):
        raise InputError(f"{to} is there and no directory; name a new one: --to DIR")
    if to.is_dir() and any(to.iterdir()):
        raise InputError(f"{to} is not empty, and nothing is overwritten; name a new directory: --to DIR")


def card_text(registry: ModelRegistry, version: RegisteredVersion) -> str:
    """The model card: as recorded when the version was registered, and what became of it since."""
    content = registry.card(version)
    if content is None:
        return _tags_text(version)
    try:
        card = RegisteredCard.model_validate_json(content)
    except ValidationError as error:
        raise StoreError(
            f"cannot read the card of {version.reference}: {error.errors()[0]['msg']}"
        ) from error
    return model_card(card, version.reference, list(_history(version)))


def _history(version: RegisteredVersion) -> Iterator[str]:
    for name, value in sorted(version.tags.items()):
        if name == "zppo.decision.reason":
            yield f"decision: {value}"
        elif name.startswith("zppo.champion."):
            yield f"champion, move {int(name.rpartition('.')[2])}: {value}"


def _tags_text(version: RegisteredVersion) -> str:
    """The card of a version from before there were recorded ones: its lineage, the rest to be filled in."""
    lines = [f"- {name.removeprefix('zppo.')}: {value}" for name, value in sorted(version.tags.items())]
    front = ["---", f"license: '{UNKNOWN}'", "library_name: transformers", "---"]
    gaps = [f"- {each}: {UNKNOWN}" for each in ("data", "method", "teacher", "accuracy", "licences")]
    return "\n".join([*front, "", f"# {version.reference}", "", *gaps, "", "## Lineage", "", *lines, ""])


def _check_loadable(version: RegisteredVersion, names: Sequence[str]) -> None:
    missing = [name for name in _NEEDED if name not in names]
    if not any(name.endswith(".safetensors") for name in names):
        missing.append("*.safetensors")
    if missing:
        raise StoreError(
            f"{version.reference} lacks {', '.join(missing)}, without which it cannot be loaded; it was not "
            "registered by this program"
        )


def _check_copy(directory: Path, version: RegisteredVersion) -> None:
    found = files_digest(sorted(directory.iterdir()))
    if found != version.files_sha256:
        raise StoreError(
            f"the copy of {version.reference} in {directory} is damaged: expected SHA-256 "
            f"{version.files_sha256}, found {found}. Check the disk, and pull again"
        )


@contextmanager
def _revealed(to: Path) -> Iterator[Path]:
    """A directory beside `to` that takes its place, durably, when the block ends well."""
    do = Operations()
    with DiskErrors(to):
        to.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{to.name}.", dir=to.parent) as scratch:
            directory = Path(scratch) / to.name
            directory.mkdir()
            yield directory
            for path in (*directory.iterdir(), directory):
                do.sync(path)
            try:
                os.rename(directory, to)
            except OSError:
                check_empty(to)  # filled meanwhile
                raise
            do.sync(to.parent)
