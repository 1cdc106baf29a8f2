"""What a reader is told of an artifact that it cannot read: the file, its stage, what to do."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.base import Artifact
from schemas.report import StepReport
from schemas.teacher import TeacherPool
from tests.golden.test_artifacts import V1
from zppo.errors import StoreError
from zppo.layout import RunPaths
from zppo.stages.train import VALIDATION, read_base
from zppo.stores.artifacts import read_artifact
from zppo.stores.identity import identify
from zppo.stores.local import MANIFEST, LocalStore

PATHS = RunPaths("a")


def commit(store: LocalStore, path: str, stage: str, name: str, content: str) -> None:
    with store.commit(path, identify(stage, {})) as staging:
        (staging.directory / name).write_text(content)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"questions": 1, "accuracy": 0.5, "median": 0.5}', "median: unknown setting"),
        ('{"questions": 1, "accuracy": 2.0}', "accuracy: .*less than or equal to 1"),
        ("{", "JSON"),
    ],
)
def test_the_base_students_validation_is_refused_by_its_file_and_stage(
    tmp_path: Path, content: str, problem: str
) -> None:
    store = LocalStore(tmp_path)
    commit(store, PATHS.base, "base", VALIDATION, content)
    with pytest.raises(StoreError, match=rf"a/base/{VALIDATION}: .*{problem}.* repeats the stage 'base'"):
        read_base(store, PATHS)


def test_without_validation_the_base_student_has_none(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    assert read_base(store, PATHS) is None
    commit(store, PATHS.base, "base", VALIDATION, "null")
    assert read_base(store, PATHS) is None


def newer(content: dict[str, Any]) -> dict[str, Any]:
    return content | {"schema_version": 99}


def unknown_field(content: dict[str, Any]) -> dict[str, Any]:
    return content | {"of_tomorrow": 1}


@pytest.mark.parametrize(
    ("change", "problem"), [(newer, "written by a newer program"), (unknown_field, "of_tomorrow: unknown")]
)
@pytest.mark.parametrize(
    ("path", "stage", "model", "file"),
    [
        (PATHS.update(1), "update", StepReport, "step_report.json"),
        ("store/precompute/0", "precompute", TeacherPool, "teacher_pool.json"),
    ],
)
def test_an_artifact_of_another_program_is_refused_with_what_was_expected_and_what_to_do(
    tmp_path: Path,
    path: str,
    stage: str,
    model: type[Artifact],
    file: str,
    change: Callable[[dict[str, Any]], dict[str, Any]],
    problem: str,
) -> None:
    store = LocalStore(tmp_path)
    commit(store, path, stage, "report.json", json.dumps(change(json.loads((V1 / file).read_text()))))
    expected = rf"{path}/report\.json: .*{problem}.* Expected is {model.__name__}, .*stage '{stage}'"
    with pytest.raises(StoreError, match=expected):
        read_artifact(store, path, "report.json", model)


@pytest.mark.parametrize("damage", [lambda data: data[:40], lambda data: data.replace(b"stage", b"stagf")])
@pytest.mark.parametrize(
    ("path", "stage"),
    [
        (PATHS.collect(3), "collect"),
        (PATHS.checkpoint(2), "checkpoint"),
        (PATHS.evaluation, "evaluate"),
        ("store/precompute/0123456789abcdef", "precompute"),
        ("store/answers/0123456789abcdef", "answers"),
        ("store/champions/student/00001", "champion"),
        ("studies/s/runs/s.zppo.s0", "study-run"),
    ],
)
def test_a_damaged_manifest_names_its_stage_although_it_cannot_be_read(
    tmp_path: Path, path: str, stage: str, damage: Callable[[bytes], bytes]
) -> None:
    store = LocalStore(tmp_path)
    commit(store, path, stage, "data", "x")
    file = tmp_path / path / MANIFEST
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(StoreError, match=rf"{path}/{MANIFEST} is damaged: .*repeats the stage '{stage}'"):
        store.read(path)
    file.unlink()
    with pytest.raises(StoreError, match=rf"{path} holds files but no .*repeats the stage '{stage}'"):
        store.read(path)
