"""Manifests as files that show their own damage."""

import json
from pathlib import Path

from pydantic import ValidationError

from schemas.manifest import Manifest, SealedManifest
from zppo.errors import StoreError
from zppo.stores.identity import digest


def serialize(manifest: Manifest) -> bytes:
    """The content of the file, with the manifest's own SHA-256."""
    content = manifest.model_dump(mode="json")
    sealed = {"sha256": digest(content), "manifest": content}
    return json.dumps(sealed, indent=1, ensure_ascii=False).encode() + b"\n"


def parse(data: bytes, file: Path, stage: str) -> Manifest:
    """The manifest that a file holds, which a stage made.

    Raises `StoreError`, saying what to do, where it is damaged or of a newer version.
    """
    damaged = StoreError(
        f"{file} is damaged: its content does not match its own SHA-256. Restore it; or remove {file.parent} "
        f"and run the same command again, which repeats the stage {stage!r}"
    )
    try:
        content = json.loads(data)
        version = content["manifest"]["schema_version"]
        intact = content["sha256"] == digest(content["manifest"])
    except (ValueError, KeyError, TypeError) as error:
        raise damaged from error
    if not intact:
        raise damaged
    known = Manifest.model_fields["schema_version"].default
    if not isinstance(version, int) or version > known:
        raise StoreError(
            f"{file} has schema version {version}, but this program reads versions up to {known}: it was "
            "written by a newer program; upgrade this one"
        )
    try:
        return SealedManifest.model_validate(content).manifest
    except ValidationError as error:
        raise damaged from error
