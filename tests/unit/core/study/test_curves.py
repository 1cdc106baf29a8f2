import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.studies import ending, point, run
from zppo.core.study.curves import Amount, mean_curve, reach, value_at
from zppo.core.study.estimates import Bootstrap

BOOTSTRAP = Bootstrap(confidence=0.95, resamples=200)
AXES: tuple[Amount, ...] = ("rounds", "tokens", "rollouts", "seconds")


@given(st.floats(0.0, 1.0), st.sampled_from(AXES), st.floats(0.0, 1.0))
def test_a_straight_line_is_interpolated_exactly(end: float, axis: Amount, part: float) -> None:
    straight = ending(end)
    value = value_at(straight, axis, part * reach(straight, axis), "accuracy")
    assert value == pytest.approx(0.2 + part * (end - 0.2), abs=1e-12)


@given(st.sampled_from(AXES), st.floats(1e-6, 1e6))
def test_nothing_is_extrapolated(axis: Amount, beyond: float) -> None:
    assert value_at(run(), axis, reach(run(), axis) + beyond, "accuracy") is None
    assert value_at(run(), axis, -beyond, "accuracy") is None


@pytest.mark.parametrize("axis", AXES)
def test_a_recorded_point_is_read_as_recorded(axis: Amount) -> None:
    assert value_at(run(), axis, 0.0, "accuracy") == 0.2
    assert value_at(run(), axis, reach(run(), axis), "accuracy") == 0.6
    assert value_at(run(), axis, reach(run(), axis) / 2, "out_of_distribution") == 0.2


def test_points_without_the_measure_are_passed_over() -> None:
    holed = run(curve=[point(0, 0.2, 0.1), point(5, 0.4), point(10, 0.6, 0.3)])
    assert value_at(holed, "rounds", 5, "out_of_distribution") == pytest.approx(0.2)
    assert value_at(run(curve=[point(0, 0.2)]), "rounds", 0, "out_of_distribution") is None


def test_a_mean_curve_ends_where_the_shortest_run_ends() -> None:
    runs = [ending(0.6), ending(0.8, seed=1, seconds=3.0)]
    curve = mean_curve(runs, "seconds", "accuracy", BOOTSTRAP)
    assert curve is not None
    assert curve.amounts[-1] == 10.0
    assert curve.means[-1] == pytest.approx((0.6 + 0.4) / 2)
    assert curve.seeds == 2


def test_a_mean_curve_over_rounds_stands_at_the_recorded_rounds() -> None:
    curve = mean_curve([ending(0.6), ending(0.8, seed=1)], "rounds", "accuracy", BOOTSTRAP)
    assert curve is not None
    assert list(curve.amounts) == [0, 5, 10]
    assert curve.means == pytest.approx([0.2, 0.45, 0.7])
    assert curve.band is not None
    assert np.all(curve.band[0] <= curve.means + 1e-12)
    assert np.all(curve.means <= curve.band[1] + 1e-12)


def test_one_seed_has_a_curve_without_a_band() -> None:
    curve = mean_curve([ending(0.6)], "tokens", "accuracy", BOOTSTRAP)
    assert curve is not None
    assert curve.band is None


def test_runs_without_a_measure_have_no_curve() -> None:
    assert mean_curve([ending(0.6)], "rounds", "out_of_distribution", BOOTSTRAP) is None
    assert mean_curve([], "rounds", "accuracy", BOOTSTRAP) is None
