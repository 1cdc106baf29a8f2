"""How stored artifacts of earlier schema versions become ones of today.

A migration takes the parsed JSON of one version to the next. Whatever reads an artifact, as JSON or from
parsed values, goes through `migrate` first (`schemas.base.Artifact`), so no reader knows of versions.
"""

from collections.abc import Callable, Mapping
from typing import Any

Content = dict[str, Any]
"""The parsed JSON of one artifact."""
Migration = Callable[[Content], Content]


def migrate(artifact: str, content: Content, known: int) -> Content:
    """Take an artifact of an earlier version to version `known`, one version at a time.

    Content without a version, or of a version from `known` on, is returned as it is.

    Raises:
        ValueError: There is no way from its version.
    """
    version = content.get("schema_version", known)
    while isinstance(version, int) and version < known:
        migration = MIGRATIONS.get(artifact, {}).get(version)
        if migration is None:
            raise ValueError(
                f"schema version {version}, but this program reads {artifact} of version {known} only: "
                "repeat the stage that made it"
            )
        version += 1
        content = migration(content) | {"schema_version": version}
    return content


def _eligible_by_kind(content: Content) -> Content:
    """One figure a kind became a mapping by kind; the last files of version 1 have it already."""
    kept = {name: value for name, value in content.items() if name not in ("eligible_bcq", "eligible_ncq")}
    by_kind = {kind: content[f"eligible_{kind}"] for kind in ("bcq", "ncq") if f"eligible_{kind}" in content}
    return {"eligible": by_kind} | kept


def _step_report(content: Content) -> Content:
    """Hints did not exist in version 1, and the tokens of summaries were not counted."""
    teacher = {"hints": 0, "compression_tokens": 0} | content["teacher"]
    return _eligible_by_kind(content) | {"teacher": teacher}


def _teacher_pool(content: Content) -> Content:
    """Hints did not exist in version 1."""
    return {"hints": 0, "hints_revealing": 0, "hints_missing": 0} | content


MIGRATIONS: Mapping[str, Mapping[int, Migration]] = {
    "Round": {1: _eligible_by_kind},
    "StepReport": {1: _step_report},
    "TeacherPool": {1: _teacher_pool},
}
"""By artifact and by the version that a migration starts from."""
