from collections.abc import Mapping

import pytest

from schemas.study import Fate, StudyRun
from tests.studies import ending, point, round_point, run, study
from zppo.core.study.claims import Verdict, judge
from zppo.core.study.estimates import Bootstrap
from zppo.core.study.records import Records

BOOTSTRAP = Bootstrap(confidence=0.95, resamples=400)
ENDS = {"a": (0.8, 0.82, 0.78), "b": (0.6, 0.63, 0.6), "c": (0.81, 0.79, 0.8), "d": (0.5, 0.5, 0.5)}


def runs() -> list[StudyRun]:
    return [ending(end, variant, seed) for variant, ends in ENDS.items() for seed, end in enumerate(ends)]


def verdict(test: Mapping[str, object], records: list[StudyRun] | None = None) -> Verdict:
    claim = {"statement": "It is so", "source": "Table 1", "test": test}
    claimed = study(list(ENDS), claims=[claim])
    found = list(judge(Records(claimed, runs() if records is None else records), BOOTSTRAP))
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("larger", "smaller", "outcome"),
    [
        ("a", "b", "holds"),
        ("b", "a", "contradicted"),
        ("a", "c", "not_shown"),
        ("a", "base", "holds"),
        ("base", "d", "contradicted"),
    ],
)
def test_a_difference_holds_where_its_interval_is_above_zero(larger: str, smaller: str, outcome: str) -> None:
    assert verdict({"type": "difference", "larger": larger, "smaller": smaller}).outcome == outcome


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [(0.7, 0.9, "holds"), (0.0, 0.5, "contradicted"), (0.9, 1.0, "contradicted"), (0.8, 0.9, "not_shown")],
)
def test_a_range_holds_where_it_contains_the_whole_interval(low: float, high: float, outcome: str) -> None:
    test = {"type": "between", "measure": "accuracy", "variant": "a", "low": low, "high": high}
    assert verdict(test).outcome == outcome


def test_an_interaction_is_the_gain_beyond_the_sum_of_the_gains() -> None:
    ends = {"a": 0.9, "b": 0.6, "c": 0.65, "d": 0.5}
    records = [ending(end, variant, seed) for variant, end in ends.items() for seed in (0, 1)]
    test = {"type": "interaction", "both": "a", "first": "b", "second": "c", "neither": "d"}
    found = verdict(test, records)
    assert found.outcome == "holds"
    assert found.contrast is not None
    assert found.contrast.estimate is not None
    assert found.contrast.estimate.mean == pytest.approx(0.4 - (0.1 + 0.15))
    assert found.amount == 10.0


def test_changes_that_add_up_show_no_interaction() -> None:
    records = [
        ending(end + 0.01 * ((seed + number) % 2), variant, seed)
        for number, (variant, end) in enumerate({"a": 0.75, "b": 0.6, "c": 0.65, "d": 0.5}.items())
        for seed in range(4)
    ]
    test = {"type": "interaction", "both": "a", "first": "b", "second": "c", "neither": "d"}
    assert verdict(test, records).outcome == "not_shown"


def test_one_pair_of_seeds_tests_nothing() -> None:
    found = verdict(
        {"type": "difference", "larger": "a", "smaller": "b"}, [ending(0.8, "a"), ending(0.6, "b")]
    )
    assert found.outcome == "not_testable"
    assert found.reason.startswith("1 seed ")


def test_a_variant_without_runs_tests_nothing() -> None:
    records = [each for each in runs() if each.variant != "b"]
    found = verdict(
        {"type": "interaction", "both": "a", "first": "b", "second": "c", "neither": "d"}, records
    )
    assert found.outcome == "not_testable"
    assert found.contrast is not None
    assert found.contrast.dropped == 3


def test_what_a_study_cannot_test_keeps_its_reason() -> None:
    found = verdict({"type": "not_testable", "reason": "no images"})
    assert (found.outcome, found.cell, found.reason) == ("not_testable", None, "no images")


def test_a_claim_about_graduation_reads_the_entries_of_its_accuracy() -> None:
    def with_buffer(variant: str, seed: int, graduated: int) -> StudyRun:
        hard = Fate(entry_accuracy=0.0, visits=2, graduated=graduated, evicted=5, remaining=10 - graduated)
        easier = Fate(entry_accuracy=0.25, visits=2, graduated=9, evicted=1, remaining=0)
        return run(variant, seed, fates=[hard, easier])

    records = [with_buffer("a", seed, 6) for seed in (0, 1)] + [with_buffer("b", seed, 2) for seed in (0, 1)]
    test = {
        "type": "difference",
        "measure": "graduation",
        "larger": "a",
        "smaller": "b",
        "entry_accuracy": 0.0,
    }
    found = verdict(test, records)
    assert found.contrast is not None
    assert found.contrast.estimate is not None
    assert found.contrast.estimate.mean == pytest.approx(6 / 15 - 2 / 15)
    assert verdict({**test, "entry_accuracy": 0.25}, records).outcome == "not_shown"


def test_a_claim_about_rounds_reads_whole_runs() -> None:
    def shares(variant: str, seed: int, share: float) -> StudyRun:
        rounds = [round_point(at, positive_advantage_rollouts=share) for at in (1, 2)]
        return run(variant, seed, rounds=rounds)

    records = [shares("a", seed, 0.3) for seed in (0, 1)] + [shares("b", seed, 0.25) for seed in (0, 1)]
    test = {"type": "difference", "measure": "positive_advantage", "larger": "a", "smaller": "b"}
    found = verdict(test, records)
    assert (found.outcome, found.amount) == ("holds", None)


def test_every_cell_has_its_own_verdict() -> None:
    claim = {
        "statement": "It is so",
        "source": "here",
        "test": {"type": "difference", "larger": "a", "smaller": "b"},
    }
    factor = {"key": "student.model", "values": ["x", "y"]}
    records = [
        run(
            variant,
            seed,
            [point(0, 0.2), point(10, 0.5 + sign * 0.1 * (variant == "a"))],
            factors={"student.model": value},
        )
        for variant in "ab"
        for seed in (0, 1)
        for value, sign in (("x", 1), ("y", -1))
    ]
    found = judge(Records(study(claims=[claim], factors=[factor]), records), BOOTSTRAP)
    assert {each.cell: each.outcome for each in found} == {("x",): "holds", ("y",): "contradicted"}
