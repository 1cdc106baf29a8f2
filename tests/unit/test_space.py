"""A run that cannot fit on the disk is refused before it starts."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from schemas.config.run import Runtime
from tests.pipelines import recipe
from tests.tiny_studies import write_study
from zppo.errors import InputError
from zppo.layout import RunPaths
from zppo.plan.space import check_space
from zppo.progress import Quiet
from zppo.recipes import load_recipe
from zppo.study.grid import load_plan
from zppo.wiring.context import open_run
from zppo.wiring.study import check_study_space, prepare_study


def test_a_run_that_fits_is_let_through(tmp_path: Path) -> None:
    assert check_space([load_recipe("pocket")], tmp_path / "not" / "there" / "yet") == ""


def test_a_run_that_would_not_fit_at_its_limits_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=20_000_000))
    warning = check_space([load_recipe("pocket")], tmp_path)
    assert "may need up to" in warning
    assert "rounds: " in warning


def test_a_run_that_does_not_fit_is_refused_with_figures_and_what_to_lower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(InputError, match=r"(?s)has 1,000 free:.*checkpoints: .* bytes = .*Lower checkpoints"):
        check_space([load_recipe("pocket")], tmp_path)


def test_the_checkpoints_of_all_runs_of_a_study_count_until_a_run_has_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, runtime = load_plan(str(write_study(tmp_path))), Runtime(home=tmp_path)
    checked: list[int] = []
    monkeypatch.setattr("zppo.plan.space.check_space", lambda runs, home: checked.append(len(runs)) or "")
    check_study_space(plan, runtime)
    with open_run(plan.runs[0].recipe, plan.runs[0].name, runtime, Quiet()):
        pass
    check_study_space(plan, runtime)
    assert checked == [2, 1]


@pytest.mark.parametrize("way", ["a run", "a study"])
def test_what_does_not_fit_is_refused_on_every_way_in_and_nothing_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    home = tmp_path / "home"
    plan = load_plan(str(write_study(tmp_path)))

    def a_run() -> None:
        with open_run(recipe(tmp_path), "tiny", Runtime(home=home), Quiet()):
            pass

    ways: dict[str, Callable[[], None]] = {
        "a run": a_run,
        "a study": lambda: prepare_study(plan, Runtime(home=home), Quiet(), lambda: None),
    }
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(InputError, match=r"would keep .* bytes of checkpoints, but .* has 1,000 free"):
        ways[way]()
    assert not list(home.glob(RunPaths("*").manifest))
