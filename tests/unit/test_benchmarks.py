"""The arithmetic of the benchmarks, and their pages; nothing is timed."""

from pathlib import Path

import pytest

from tests.benchmarks import table
from tests.benchmarks.decode import limits_of
from tests.benchmarks.measuring import Spread, in_turn
from tests.benchmarks.models import prompts_of, words
from tests.benchmarks.our_side import OurRounds
from tests.benchmarks.sides import Work, rewards_of
from tests.benchmarks.table import Machine, Table, markdown
from tests.benchmarks.update import seconds_at_least
from tests.tiny import VOCABULARY, tiny_model

MACHINE = Machine("a processor", 2, 1, ("Python 3.11", "torch 2.13"), 0.5)
ENDLESS = Work("model", ["a", "b"], None, group=4, response_tokens=8, updates=2, micro_batch=4)
ROOT = Path(__file__).parents[2]


def test_a_page_holds_the_command_the_machine_and_every_cell() -> None:
    page = markdown(
        ["step", "--rounds", "3"], [Table("Times", ("a", "b"), (("1", "2"),), ("a note",))], MACHINE
    )
    assert page == (
        "# step\n\n`python -m tests.benchmarks step --rounds 3`, float32. "
        "Measured on 2 cores (a processor) with one thread a process; Python 3.11, torch 2.13. "
        "Load average at the end: 0.5.\n\n"
        "## Times\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\na note\n"
    )


def test_a_row_has_a_cell_for_each_column() -> None:
    with pytest.raises(AssertionError, match="a cell for each"):
        Table("Times", ("a", "b"), (("1",),))


def test_writing_replaces_the_page_of_that_benchmark_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "RESULTS", tmp_path / "results")
    for name in ("step", "decode", "step"):
        table.write([name], [Table(name, ("a",), (("1",),))], threads=1)
    assert sorted(file.name for file in (tmp_path / "results").iterdir()) == ["decode.md", "step.md"]


def test_measures_are_taken_in_turn_and_the_first_ones_left_out() -> None:
    calls: list[str] = []

    def measure(name: str) -> int:
        calls.append(name)
        return len(calls)

    taken = in_turn({"a": lambda: measure("a"), "b": lambda: measure("b")}, repeats=2, warm=1)
    assert calls == ["a", "b"] * 3
    assert taken == {"a": [3, 5], "b": [4, 6]}


def test_a_spread_shows_the_median_between_the_extremes() -> None:
    assert Spread.of([3.0, 1.0, 2.5]).text() == "2.50 (1.00–3.00)"


def test_the_limit_of_decoding_reads_weights_once_and_computes_with_them_for_every_response() -> None:
    limits = limits_of(weights=1000, cached=10, rows=8, bytes_a_second=4.0, operations_a_second=160.0)
    assert limits.bytes == 1000 + 8 * 10
    assert limits.arithmetic == 100
    assert limits.nearer == limits.bytes


def test_the_limit_of_an_update_counts_six_operations_a_parameter_and_token() -> None:
    assert seconds_at_least(parameters=100, tokens=20, rate=6.0) == 2000


def test_every_group_without_answers_of_its_own_has_a_spread() -> None:
    assert rewards_of(["a"] * 4 + ["b"] * 4, [""] * 8, ENDLESS) == [0, 1, 0, 1] * 2


def test_a_response_is_right_by_its_last_box() -> None:
    work = Work("model", ["a", "b"], ["7", "8"], group=2, response_tokens=8, updates=1, micro_batch=4)
    texts = [r"\boxed{7}", r"\boxed{7} \boxed{8}", r"\boxed{8}", "8"]
    assert rewards_of(["a", "a", "b", "b"], texts, work) == [1, 0, 1, 0]


def test_a_round_of_ours_samples_grades_and_learns() -> None:
    work = Work("", prompts_of(2, 4, VOCABULARY), None, group=2, response_tokens=3, updates=2, micro_batch=2)
    rounds = OurRounds(tiny_model("llama"), words(VOCABULARY), work)
    assert rounds.round().keys() == rounds.round().keys() == {"cpu", "wall"}


def test_trl_runs_with_the_versions_of_this_project() -> None:
    """What is installed beside it comes from the same lock."""
    wanted = (ROOT / "tests/benchmarks/trl.txt").read_text().splitlines()[1:]
    locked = {line.partition("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert [line for line in wanted if "==" not in line and line not in locked] == []
