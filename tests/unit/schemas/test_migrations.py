"""Every version of an artifact leads to today's."""

import pytest

from schemas.base import Artifact
from schemas.export import EXPORTED
from schemas.migrations import MIGRATIONS, migrate
from schemas.pocket import PocketCard

STORED = [model for model in EXPORTED.values() if issubclass(model, Artifact) and model is not PocketCard]
"""The pocket models' card ships with the program and is of its version."""


@pytest.mark.parametrize("artifact", STORED, ids=lambda model: model.__name__)
def test_there_is_a_migration_from_every_earlier_version(artifact: type[Artifact]) -> None:
    known = artifact.model_fields["schema_version"].default
    assert list(MIGRATIONS.get(artifact.__name__, {})) == list(range(1, known))


def test_every_migration_belongs_to_an_artifact() -> None:
    assert {artifact.__name__ for artifact in STORED} >= MIGRATIONS.keys()


def test_content_of_todays_version_is_left_as_it_is() -> None:
    content = {"schema_version": 2, "eligible_bcq": 1}
    assert migrate("Round", content, 2) is content


def test_a_late_file_of_version_1_keeps_what_it_has_already() -> None:
    content = {"schema_version": 1, "eligible": {"hint": 3}}
    assert migrate("Round", content, 2) == {"schema_version": 2, "eligible": {"hint": 3}}
