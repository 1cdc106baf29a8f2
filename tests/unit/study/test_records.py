"""What a study keeps: it goes on with the runs that it has, and never mixes two recipes."""

import shutil
from pathlib import Path

import pytest

from schemas.config.run import Runtime
from tests.tiny_studies import NAME, STUDY, write_study
from tests.unit.study.conftest import Trained
from zppo import templates
from zppo.errors import InputError, StoreError
from zppo.progress import Quiet
from zppo.runs import status
from zppo.study.grid import StudyPlan, load_plan
from zppo.study.records import (
    WallTime,
    check_unmixed,
    commit_report,
    find_report,
    read_records,
    report_text,
)
from zppo.wiring.context import open_run
from zppo.wiring.study import prepare_study, train_run


def plan_of(directory: Path, **changes: object) -> StudyPlan:
    return load_plan(str(write_study(directory, **changes)))


def test_a_changed_recipe_is_refused_with_the_fields_that_changed(trained: Trained, tmp_path: Path) -> None:
    settings = [*STUDY["set"], "learner.learning_rate=0.5", "method.tau=0.25"]
    plan = plan_of(tmp_path, set=settings, variants=[{"name": "zppo"}, {"name": "other"}])
    with pytest.raises(InputError) as caught:
        check_unmixed(plan, trained.home)
    said = str(caught.value)
    assert f"1 of the 1 runs of the study '{NAME}' that have begun" in said
    assert "recipe.learner.learning_rate: 0.0003 -> 0.5  (1 runs)" in said
    assert "recipe.method.tau: 0.5 -> 0.25  (1 runs)" in said
    assert said.count("->") == 3  # and the heading


def test_more_seeds_and_variants_keep_the_runs_that_are_finished(trained: Trained, tmp_path: Path) -> None:
    variants = [*STUDY["variants"], {"name": "zppo-late", "set": ["method.tau=0.25"]}]
    plan = plan_of(tmp_path, seeds=[0, 5], variants=variants)
    check_unmixed(plan, trained.home)
    assert sorted(read_records(plan, trained.home)) == ["few.grpo.s0", "few.zppo.s0"]
    assert find_report(plan, trained.home) is None


def test_a_finished_run_is_not_touched_again(trained: Trained) -> None:
    before = read_records(trained.plan, trained.home)
    files = {file: file.stat().st_mtime_ns for file in (trained.home / "few.zppo.s0" / "rounds").rglob("*")}
    train_run(NAME, trained.plan.runs[1], Runtime(home=trained.home), Quiet(), lambda: None)
    assert read_records(trained.plan, trained.home) == before
    assert {file: file.stat().st_mtime_ns for file in files} == files


def test_a_run_of_a_study_is_a_run_of_the_home(trained: Trained) -> None:
    found = status(trained.home, "few.zppo.s0")
    assert (found.state, found.method, found.rounds_done, found.checkpoints) == ("trained", "zppo", 3, (2, 3))


def test_the_report_is_of_exactly_this_study(trained: Trained, tmp_path: Path) -> None:
    commit_report(trained.plan, trained.home, "zppo study few", 61.0)
    found = find_report(trained.plan, trained.home)
    assert found is not None
    assert "zppo study few" in (found / "report.md").read_text()
    text = report_text(trained.plan, trained.home)
    assert text.startswith("# A tiny study")
    assert "| zppo | 1 |" in text
    assert text.endswith(str(found / "report.md"))
    other = plan_of(tmp_path, title="The same under another title")
    assert find_report(other, trained.home) is None
    commit_report(other, trained.home, "zppo study few", 61.0)
    assert find_report(other, trained.home) == found
    assert find_report(trained.plan, trained.home) is None


def test_wall_time_adds_up_over_sittings(tmp_path: Path) -> None:
    first = WallTime(tmp_path, NAME)
    (tmp_path / "studies" / NAME).mkdir(parents=True)
    (tmp_path / "studies" / NAME / "seconds").write_text("100.0\n")
    second = WallTime(tmp_path, NAME)
    second.keep()
    assert first.seconds < 100.0 <= second.seconds
    assert WallTime(tmp_path, NAME).seconds >= 100.0


def test_all_runs_start_from_the_same_templates(tmp_path: Path, mlflow_database: Path) -> None:
    home, own = tmp_path / "home", tmp_path / "templates"
    home.mkdir()
    shutil.copy(mlflow_database, home / "mlflow.db")
    shutil.copytree(Path(templates.__file__).parent / "pocket", own)
    plan = plan_of(tmp_path, set=[*STUDY["set"], f"student.templates={own}"])
    with open_run(plan.runs[0].recipe, plan.runs[0].name, Runtime(home=home), Quiet()):
        pass
    (own / "plain.txt").write_text("Now: " + (own / "plain.txt").read_text())
    with pytest.raises(StoreError, match="templates"):
        prepare_study(plan, Runtime(home=home), Quiet(), lambda: None)
