"""Fingerprints of what an artifact is computed from, and what differs between two of them."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, JsonValue

from schemas.manifest import Identity, Manifest, Parent
from zppo.core.flatten import leaves


@dataclass(frozen=True)
class Change:
    """One leaf that differs between two identities."""

    path: str
    """Dotted, such as `recipe.method.tau`."""
    old: str
    """As JSON; `absent` where the old identity lacks the leaf."""
    new: str

    def __str__(self) -> str:
        return f"{self.path}: {self.old} -> {self.new}"


def canonical_json(value: JsonValue) -> bytes:
    """The one JSON text of a value: sorted keys, no spaces, UTF-8. Refuses NaN and infinity."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def digest(value: JsonValue) -> str:
    """SHA-256 of the canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def identify(
    stage: str,
    inputs: Mapping[str, BaseModel | JsonValue],
    parents: Sequence[Manifest | Identity] = (),
) -> Identity:
    """The identity of what `stage` makes of `inputs` and of the artifacts it reads, committed or not yet."""
    plain: dict[str, JsonValue] = {
        name: part.model_dump(mode="json") if isinstance(part, BaseModel) else part
        for name, part in inputs.items()
    }
    return Identity(stage=stage, inputs=plain, parents=tuple(map(_parent, parents)))


def _parent(artifact: Manifest | Identity) -> Parent:
    if isinstance(artifact, Manifest):
        return artifact.as_parent()
    return Parent(stage=artifact.stage, fingerprint=fingerprint(artifact))


def fingerprint(identity: Identity) -> str:
    """SHA-256 of everything in the identity; names the artifact."""
    return digest(identity.model_dump(mode="json"))


def changes(old: Identity, new: Identity) -> list[Change]:
    """The leaves that differ, sorted by path."""
    before, after = dict(_leaves(old)), dict(_leaves(new))
    return [
        Change(path, before.get(path, "absent"), after.get(path, "absent"))
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]


def _leaves(identity: Identity) -> Iterator[tuple[str, str]]:
    yield "stage", json.dumps(identity.stage)
    yield "method_version", json.dumps(identity.method_version)
    for position, parent in enumerate(identity.parents):
        yield f"parents.{position}.{parent.stage}", parent.fingerprint
    for path, value in leaves(identity.inputs):
        yield path, json.dumps(value, ensure_ascii=False)
