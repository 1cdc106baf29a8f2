"""The manifest of a committed directory: what made it, and what it holds."""

from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field, JsonValue

from schemas.base import Artifact, Frozen, Sha256

METHOD_VERSION = 2
"""Raised when the method computes something else from the same recipe and data."""


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or path != "/".join(parts):
        raise ValueError(f"expected a plain relative path below the artifact, got {path!r}")
    return path


RelativePath = Annotated[str, AfterValidator(_inside)]


class StoredFile(Frozen):
    """One file of an artifact."""

    path: RelativePath
    """Relative to the artifact's directory, with `/` between the parts."""
    sha256: Sha256
    size: int = Field(ge=0)
    """In bytes."""


class Parent(Frozen):
    """An artifact that the stage read."""

    stage: str
    fingerprint: Sha256


class Identity(Frozen):
    """What an artifact was computed from: equal identities mean interchangeable artifacts."""

    stage: str = Field(min_length=1)
    """Name of the stage, such as `collect`."""
    inputs: dict[str, JsonValue]
    """The parts that the fingerprint is made of, by name: configuration, data digests, revisions."""
    parents: tuple[Parent, ...] = ()
    """Artifacts read, in the order that the stage names them."""
    method_version: int = METHOD_VERSION


class Provenance(Frozen):
    """The circumstances of a commit; never part of an identity."""

    created: AwareDatetime
    seconds: float = Field(ge=0.0)
    """Time from the start of the stage's work to its commit."""
    packages: dict[str, str]
    """Versions of the installed packages that take part."""


class Manifest(Artifact):
    """Written last into an artifact's directory; without it there is no artifact."""

    identity: Identity
    fingerprint: Sha256
    """SHA-256 of the identity's canonical JSON."""
    files: tuple[StoredFile, ...]
    """Every file but the manifest itself, sorted by path."""
    provenance: Provenance

    def as_parent(self) -> Parent:
        """The reference that artifacts made from this one keep."""
        return Parent(stage=self.identity.stage, fingerprint=self.fingerprint)


class SealedManifest(Frozen):
    """The content of `manifest.json`."""

    sha256: Sha256
    """Of the manifest's canonical JSON: a damaged manifest is found when it is read."""
    manifest: Manifest
