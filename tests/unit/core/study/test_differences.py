import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.study import StudyRun
from tests.studies import ending, run, study
from zppo.core.study.differences import Difference, differences
from zppo.core.study.estimates import Bootstrap
from zppo.core.study.records import Records, cell_of

BOOTSTRAP = Bootstrap(confidence=0.95, resamples=300)
ENDS = st.lists(st.floats(0.0, 1.0), min_size=2, max_size=5)


def found(runs: list[StudyRun], better: str = "a", baseline: str = "b") -> dict[tuple[str, str], Difference]:
    """The differences of a study without factors, by axis and measure."""
    compared = study(comparisons=[{"better": better, "baseline": baseline}])
    return {(each.axis, each.measure): each for each in differences(Records(compared, runs), BOOTSTRAP)}


@settings(max_examples=30)
@given(ENDS)
def test_a_variant_does_not_differ_from_itself(ends: list[float]) -> None:
    runs = [ending(end, seed=seed) for seed, end in enumerate(ends)]
    for each in found(runs, baseline="a").values():
        assert each.contrast.estimate is not None
        assert set(each.contrast.estimate.values) == {0.0}
        assert each.contrast.estimate.interval is not None
        assert (each.contrast.estimate.interval.low, each.contrast.estimate.interval.high) == (0.0, 0.0)
        assert not each.contrast.estimate.above_zero


@settings(max_examples=30)
@given(ENDS, ENDS)
def test_swapping_the_variants_changes_the_sign(first: list[float], second: list[float]) -> None:
    runs = [
        ending(end, variant, seed)
        for variant, ends in (("a", first), ("b", second))
        for seed, end in enumerate(ends)
    ]
    forth, back = found(runs), found(runs, "b", "a")
    assert forth.keys() == back.keys()
    for place, each in forth.items():
        estimate, opposite = each.contrast.estimate, back[place].contrast.estimate
        assert estimate is not None
        assert opposite is not None
        assert estimate.mean == pytest.approx(-opposite.mean, abs=1e-12)
        assert estimate.count == min(len(first), len(second))


def test_a_seed_that_one_variant_lacks_is_dropped_and_counted() -> None:
    runs = [
        ending(0.8, "a", 0),
        ending(0.8, "a", 1),
        ending(0.8, "a", 2),
        ending(0.6, "b", 1),
        ending(0.6, "b", 7),
    ]
    contrast = found(runs)["rounds", "accuracy"].contrast
    assert contrast.estimate is not None
    assert contrast.estimate.count == 1
    assert contrast.estimate.interval is None
    assert contrast.dropped == 3


def test_both_are_given_the_largest_amount_that_both_reached() -> None:
    runs = [
        ending(end, variant, seed, rollouts=rollouts, seconds=seconds)
        for seed in (0, 1)
        for variant, end, rollouts, seconds in (("a", 0.8, 20, 4.0), ("b", 0.6, 10, 1.0))
    ]
    by_place = found(runs)
    amounts = {axis: each.amount for (axis, _), each in by_place.items()}
    assert amounts == {"rounds": 10, "rollouts": 100, "seconds": 10.0}
    means = {
        axis: each.contrast.estimate.mean for (axis, _), each in by_place.items() if each.contrast.estimate
    }
    assert means["rounds"] == pytest.approx(0.2)
    assert means["rollouts"] == pytest.approx(0.5 - 0.6)
    assert means["seconds"] == pytest.approx(0.35 - 0.6)


def test_an_unpaired_run_does_not_shorten_the_amount() -> None:
    runs = [ending(0.8, "a", 0), ending(0.6, "b", 0), ending(0.6, "b", 1, seconds=0.1)]
    assert found(runs)["seconds", "accuracy"].amount == 10.0


def test_a_measure_that_no_run_has_is_left_out() -> None:
    runs = [ending(0.8, "a"), ending(0.6, "b")]
    assert {measure for _, measure in found(runs)} == {"accuracy"}


def test_variants_without_a_common_seed_have_no_difference() -> None:
    assert not found([ending(0.8, "a", 0), ending(0.6, "b", 1)])


def test_runs_are_paired_within_the_values_of_the_factors() -> None:
    compared = study(
        comparisons=[{"better": "a", "baseline": "b"}],
        factors=[{"key": "student.model", "values": ["x", "y"], "labels": ["large", "small"]}],
    )
    runs = [run(variant, seed, factors={"student.model": "x"}) for variant in "ab" for seed in (0, 1)]
    runs += [run("a", 0, factors={"student.model": "y"})]
    records = Records(compared, runs)
    assert records.cells == (("large",), ("small",))
    assert {each.cell for each in differences(records, BOOTSTRAP)} == {("large",)}
    assert cell_of(compared, runs[-1]) == ("small",)
