"""How far a study is, and how long the rest takes."""

from pathlib import Path

import pytest

from tests.studies import point
from tests.tiny_studies import STUDY, write_study
from tests.unit.study.conftest import Trained
from zppo.progress import Lines
from zppo.study.board import show_board
from zppo.study.grid import StudyPlan, load_plan
from zppo.study.overview import overview
from zppo.study.pace import Tally
from zppo.study.records import read_records


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def plan(tmp_path: Path) -> StudyPlan:
    return load_plan(str(write_study(tmp_path, seeds=[0, 1])))


def records_of(plan: StudyPlan, trained: Trained, **seconds: float):
    """Records of three rounds that took so many seconds each, by run."""
    (any_record, *_) = read_records(trained.plan, trained.home).values()
    return {
        run.name: any_record.model_copy(update={"curve": (point(0, 0.1), point(3, 0.2, seconds=each))})
        for name, each in seconds.items()
        for run in plan.runs
        if run.name == f"few.{name.replace('_', '.')}"
    }


def test_nothing_is_estimated_before_the_first_round(plan: StudyPlan) -> None:
    tally = Tally(plan, {}, {}, jobs=1)
    assert tally.seconds_left() is None
    assert (tally.rounds_done, tally.rounds, tally.note()) == (0, 12, "0/4 runs")


def test_each_method_goes_by_its_own_pace(plan: StudyPlan, trained: Trained) -> None:
    records = records_of(plan, trained, grpo_s0=1.0, zppo_s0=10.0)
    for jobs, expected in ((1, 33.0), (2, 16.5), (8, 16.5)):
        assert Tally(plan, records, {}, jobs).seconds_left() == pytest.approx(expected)
    begun = {"few.grpo.s1": 1, "few.zppo.s1": 2}
    assert Tally(plan, records, begun, 1).seconds_left() == pytest.approx(2 * 1.0 + 1 * 10.0)


def test_a_method_without_a_round_goes_by_the_others(plan: StudyPlan, trained: Trained) -> None:
    records = records_of(plan, trained, grpo_s0=4.0)
    assert Tally(plan, records, {}, 1).seconds_left() == pytest.approx(9 * 4.0)


def test_rounds_that_are_watched_count_with_all_that_they_took(plan: StudyPlan) -> None:
    clock, run = Clock(), plan.runs[0]
    tally = Tally(plan, {}, {run.name: 1}, 1, clock)
    clock.now = 100.0
    tally.begin(run)
    clock.now = 102.0
    tally.move(run, 2, "plain 0.50")
    assert tally.seconds_left() == pytest.approx((1 + 9) * 2.0)
    assert tally.note() == "0/4 runs   grpo.s0 2/3 plain 0.50"
    assert tally.end(run, finished=True) == "plain 0.50"
    assert tally.note() == "1/4 runs"


def test_a_failed_run_is_named_and_not_done(plan: StudyPlan, capsys: pytest.CaptureFixture[str]) -> None:
    import sys

    tally, run = Tally(plan, {}, {}, 1), plan.runs[0]
    with show_board(tally, Lines(sys.stdout)) as board:
        with board.of(run).track("train", 3) as advance:
            board.of(run).say("something")
            advance(1, "plain 0.50")
        board.end(run, "its process ended")
    assert capsys.readouterr().out.splitlines() == [
        "few.grpo.s0  something",
        "few.grpo.s0  failed: its process ended",
    ]
    assert tally.note() == "0/4 runs"


def test_the_overview_shows_every_setting_with_what_is_left(trained: Trained, tmp_path: Path) -> None:
    factors = [{"key": "method.tau", "values": [0.5, 0.25], "labels": ["half", "quarter"]}]
    variants = [*STUDY["variants"], {"name": "late", "label": "Late"}]
    text = overview(load_plan(str(write_study(tmp_path, factors=factors, variants=variants))), {}, 2)
    assert [line.split()[:4] for line in text.splitlines()[3:9]] == [
        [name, tau, method, "0"]
        for name, method in (("grpo", "grpo"), ("zppo", "zppo"), ("Late", "zppo"))
        for tau in ("half", "quarter")
    ]
    assert "6 runs, 0 of them done; 18 rounds." in text
    records = read_records(trained.plan, trained.home)
    assert "Nothing is left to train." in overview(trained.plan, records, 1)
