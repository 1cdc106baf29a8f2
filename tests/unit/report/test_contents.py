"""What the report says: outcome, costs, checks, charts, tables."""

import gzip
import json
from base64 import b64decode
from pathlib import Path
from random import Random

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zppo.report import contents, table
from zppo.report.charts import run_charts, split_collect
from zppo.report.compare import comparison_page, recipe_differences
from zppo.report.contents import run_head, run_page
from zppo.report.data import write_data
from zppo.report.details import question_details
from zppo.report.figures import write_figures
from zppo.report.history import RunHistory
from zppo.report.model import Chart, QuestionSummary, Series, VisitSummary
from zppo.report.result import run_result
from zppo.report.series import PLACES, thinned
from zppo.report.single import history_charts
from zppo.report.table import PackedTable, question_summaries, question_table


def test_the_outcome_names_both_accuracies_and_meets_the_champion(history: RunHistory) -> None:
    result = run_result(history.evaluation, history.decision, history.base, history.reports)
    assert result.sentence.startswith("Held-out accuracy rose from 0.300 to 0.800 (+0.500)")
    assert [row.label for row in result.rows] == [
        "held out, in distribution",
        "out of distribution",
        "against the champion",
    ]


def test_before_the_evaluation_the_outcome_is_that_of_validation(history: RunHistory) -> None:
    result = run_result(None, None, history.base, history.reports)
    assert "from 0.200 to 0.600 by round 4" in result.sentence


@pytest.mark.parametrize(
    ("committed", "state"),
    [
        ({}, "stopped"),
        ({"evaluation": object()}, "evaluated"),
        ({"reports": [object()] * 4}, "trained"),
        ({"running": True, "reports": [object()] * 4}, "running"),
        ({"running": True, "decision": object()}, "finished"),
    ],
)
def test_a_run_has_the_state_of_its_status_but_is_finished_while_its_page_is_written(
    history: RunHistory, monkeypatch: pytest.MonkeyPatch, committed: dict[str, object], state: str
) -> None:
    known = {"evaluation": None, "decision": None, "running": False} | committed
    for name in ("evaluation", "decision", "running"):
        monkeypatch.setattr(RunHistory, name, known[name])
    monkeypatch.setattr(history, "reports", committed.get("reports", history.reports[:1]))
    monkeypatch.setattr(history, "manifest", lambda path: None)
    assert run_head(history).state == state


def test_charts_have_one_value_a_place_and_no_empty_series(history: RunHistory) -> None:
    charts = history_charts(history)
    assert len({chart.key for chart in charts}) == len(charts)
    for chart in charts:
        assert all(len(series.values) == len(chart.x) for series in chart.series)
        assert all(any(value is not None for value in series.values) for series in chart.series)
    assert run_charts(None, (), ()) == ()


@given(
    st.dictionaries(
        st.sampled_from(["student", "teacher", "compression", "judge", "grading", "update", "drift"]),
        st.floats(0, 1e3),
    ),
    st.floats(0, 1e3),
)
def test_the_phases_of_a_round_add_up_to_its_time(phases: dict[str, float], rest: float) -> None:
    inner = ("student", "teacher", "compression", "judge", "grading")
    collect = rest + sum(phases.get(name, 0.0) for name in inner)
    outer = sum(value for name, value in phases.items() if name not in inner)
    split = split_collect({**phases, "collect": collect})
    assert sum(split.values()) == pytest.approx(collect + outer)


def a_table(count: int, id_length: int) -> list[QuestionSummary]:
    """Questions that no packing makes much smaller."""
    visits = (VisitSummary(round=1, accuracy=0.5, replayed=False, kinds=("bcq",)),)

    def noise(length: int) -> str:
        return f"{random.getrandbits(4 * length):0{length}x}"

    random = Random(0)
    return [
        QuestionSummary(
            id=noise(id_length),
            source="s",
            excerpt=noise(400),
            entry_accuracy=0.0,
            fate="waiting",
            visits=visits,
        )
        for _ in range(count)
    ]


def unpacked(packed: PackedTable) -> list[list[object]]:
    rows: list[list[object]] = json.loads(gzip.decompress(b64decode(json.loads(packed.content))))["rows"]
    return rows


def test_the_table_of_questions_shortens_excerpts_before_it_leaves_rows_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(table, "TABLE_BYTES", 100_000)
    questions = a_table(2000, 8)
    packed = question_table(questions, {questions[-1].id})
    rows = unpacked(packed)
    assert packed.left_out == 0
    assert len(packed.content) < 200_000
    assert [row[0] for row in rows] == [each.id for each in (questions[-1], *questions[:-1])]
    lengths = {len(str(row[2])) for row in rows}
    assert len(lengths) == 1
    assert 0 < lengths.pop() < 400


def test_the_table_of_questions_says_how_many_rows_had_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "TABLE_BYTES", 100_000)
    questions = a_table(2000, 300)
    packed = question_table(questions, {questions[-1].id})
    rows = unpacked(packed)
    assert 0 < packed.left_out == len(questions) - len(rows)
    assert rows[0][0] == questions[-1].id
    assert question_table([], set()).left_out == 0


def test_the_same_table_gives_the_same_text() -> None:
    questions = a_table(10, 8)
    assert question_table(questions, set()) == question_table(questions, set())


def test_all_training_questions_are_summarised_drawn_or_not(history: RunHistory) -> None:
    found = question_summaries(history)
    assert history.questions is not None
    assert len(found) == len(history.questions)
    assert sum(len(each.visits) for each in found) == sum(map(len, history.lives.visits.values()))


@given(st.integers(1, 3500))
def test_a_chart_of_any_length_fits_and_keeps_its_ends(count: int) -> None:
    x = tuple(float(place) for place in range(count))
    chart = Chart(key="k", title="t", note="n.", x=x, series=(Series(label="s", values=(*x[:-1], None)),))
    shown = thinned(chart)
    assert len(shown.x) == len(shown.series[0].values) <= PLACES + 1
    assert (shown.x[0], shown.x[-1]) == (x[0], x[-1])
    assert (shown.x == x) == (count <= PLACES) == (shown.note == chart.note)


def test_a_page_of_any_run_stays_below_ten_megabytes(
    history: RunHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = question_details(history, ["q0"])
    many = [f"q{place}" for place in range(20)]
    monkeypatch.setattr(contents, "choose_sample", lambda lives, tau: many)
    monkeypatch.setattr(contents, "question_details", lambda history, ids: dict.fromkeys(ids, told["q0"]))
    monkeypatch.setattr(contents, "question_summaries", lambda history: a_table(12_000, 400))
    values = tuple(Random(0).random() for _ in range(20_000))
    chart = Chart(
        key="k", title="t", note="", x=tuple(map(float, range(20_000))),
        series=tuple(Series(label=str(place), values=values) for place in range(8)),
    )  # fmt: skip
    monkeypatch.setattr(contents, "history_charts", lambda history: (chart,) * 18)
    page = run_page(history)
    assert 8_000_000 < len(page.encode()) < contents.PAGE_BYTES


def test_recipes_differ_in_exactly_the_settings_that_are_listed() -> None:
    one = {"a": 1, "method": {"tau": 0.5, "kinds": [1, 2]}, "sources": [{"name": "x"}]}
    other = {"a": 1, "method": {"tau": 0.4, "kinds": [1, 2]}, "sources": [{"name": "x"}, {"name": "y"}]}
    found = {each.key: each.values for each in recipe_differences([one, other])}  # type: ignore[list-item]
    assert found == {"method.tau": ("0.5", "0.4"), "sources[1].name": (None, '"y"')}
    assert recipe_differences([one, one]) == ()  # type: ignore[list-item]


def test_a_comparison_shows_the_difference_of_the_recipes_before_the_outcome(home: Path) -> None:
    page = comparison_page([RunHistory(home, "story"), RunHistory(home, "other")])
    assert page.index('<th scope="row">seed</th><td>0</td><td>7</td>') < page.index("What came out")


def test_figures_are_drawn_for_every_chart(history: RunHistory, tmp_path: Path) -> None:
    files = write_figures(history_charts(history)[:4], tmp_path / "new")
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)


def test_the_tables_hold_every_round_question_visit_and_event(history: RunHistory, tmp_path: Path) -> None:
    write_data(history, tmp_path)
    rows = {
        name: pq.read_table(tmp_path / f"{name}.parquet").num_rows
        for name in ("rounds", "questions", "visits")
    }
    assert rows["rounds"] == len(history.reports)
    assert rows["questions"] == len(question_summaries(history))
    assert rows["visits"] == sum(map(len, history.lives.visits.values()))
    assert (tmp_path / "buffer.csv").read_text().startswith('"round","event","question_id"')
