"""The fault harness itself: what it must notice, and what it must not forget."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.conftest import Finished
from tests.faults.fire import Entry, Journal, seconds_left
from tests.faults.fire_cases import KINDS, Case, Reference, all_cases, wrong_states
from tests.pipelines import TRACKED, first_difference


@pytest.mark.parametrize(
    "spoiled",
    [
        r"rounds/00002/collect/rollouts\.parquet",
        r"rounds/00004/update/report\.json",
        r"checkpoints/\d+/model\.safetensors",
        r"checkpoints/\d+/optimizer\.safetensors",
        r"checkpoints/\d+/state\.json",
        r"answers/.*answers\.parquet",
        r"promote/decision\.json",
        r"summary/summary\.md",
        r"fingerprint of .*/checkpoints/\d+$",
        r"metric .* at 3$",
        r"version .* 1$",
        r"tag .*fingerprint$",
        r"precompute/.*report\.json$",
        r"latest value of round$",
        r"latest step of seconds/update$",
        r"tag of run .*runName$",
        r"input of run ",
        r"files of version .* 1$",
        r"artifact of run .*model\.safetensors$",
        r"artifact of run .*card\.json$",
        r"artifact of run .*summary\.md$",
    ],
)
def test_a_difference_anywhere_in_the_results_is_found_and_named(undisturbed: Finished, spoiled: str) -> None:
    name = next(name for name in undisturbed.results if re.search(spoiled, name))
    for found in (
        {**undisturbed.results, name: "other"},
        {key: value for key, value in undisturbed.results.items() if key != name},
    ):
        difference = first_difference(found, undisturbed.results)
        assert difference is not None
        assert difference.startswith(f"{name} is ")


def test_every_table_that_a_run_fills_in_mlflow_is_compared(undisturbed: Finished) -> None:
    own = {"alembic_version", "workspaces"}  # MLflow's own, the same in an empty database
    with closing(sqlite3.connect(undisturbed.home / "mlflow.db")) as database:
        tables = [name for (name,) in database.execute("select name from sqlite_master where type = 'table'")]
        filled = {name for name in tables if database.execute(f"select 1 from {name} limit 1").fetchone()}
    queries = " ".join(TRACKED)
    assert {name for name in filled - own if not re.search(rf"\b(from|join) {name}\b", queries)} == set()


def test_the_first_of_several_differences_is_the_one_of_the_earliest_stage(undisturbed: Finished) -> None:
    without = {name: value for name, value in undisturbed.results.items() if not re.search("0000[345]", name)}
    difference = first_difference(without, undisturbed.results)
    assert difference is not None
    assert re.match(r"(fingerprint of )?tiny/rounds/00003/collect", difference)


def test_every_point_of_the_undisturbed_run_is_a_case(undisturbed: Finished) -> None:
    cases = all_cases(Reference(undisturbed.lives[0], undisturbed.results))
    points = [int(case.name) for case in cases if case.kind in ("store", "call")]
    assert sorted(points) == list(range(len(undisturbed.lives[0])))
    assert len({case.key for case in cases}) == len(cases)
    assert {case.kind for case in cases} | {"servers"} == set(KINDS)


def test_a_journal_goes_on_after_half_a_line_and_keeps_the_last_outcome(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    journal = Journal(file)
    bad, good = (Entry("store-0001", "store", 5.0, failure, "here") for failure in ("a difference", None))
    journal.append(bad)
    with file.open("a") as torn:
        torn.write('{"key": "store-00')
    journal = Journal(file)
    assert journal.latest() == {"store-0001": bad}
    journal.append(good)
    assert Journal(file).latest() == {"store-0001": good}


def test_the_time_left_follows_the_cases_that_were_measured() -> None:
    left = [Case("store", "0001"), Case("store", "0002")]
    entries = [Entry("store-0003", "store", seconds, None, "") for seconds in (4.0, 6.0)]
    assert seconds_left(left, entries, jobs=2) == 5.0


@pytest.mark.parametrize("states", [["COMPLETED"], ["CRASHED", "COMPLETED"], ["COMPLETED", "COMPLETED"]])
def test_a_killed_flow_run_may_be_shown_as_crashed_and_the_resumed_one_as_completed(
    states: list[str],
) -> None:
    assert wrong_states(states) is None


@pytest.mark.parametrize("states", [["CRASHED"], ["RUNNING", "COMPLETED"], ["CRASHED", "RUNNING"]])
def test_a_flow_run_that_is_left_running_is_a_failure(states: list[str]) -> None:
    assert wrong_states(states) is not None
