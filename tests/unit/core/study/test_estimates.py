import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zppo.core.study.estimates import Bootstrap

BOOTSTRAP = Bootstrap(confidence=0.95, resamples=400)
VALUES = st.lists(st.floats(-1.0, 1.0), min_size=2, max_size=10)


@given(VALUES)
def test_an_interval_contains_its_mean(values: list[float]) -> None:
    estimate = BOOTSTRAP.estimate(values)
    assert estimate is not None
    assert estimate.interval is not None
    assert estimate.interval.low - 1e-12 <= estimate.mean <= estimate.interval.high + 1e-12


def test_one_seed_has_a_mean_and_no_interval() -> None:
    estimate = BOOTSTRAP.estimate([0.5])
    assert estimate is not None
    assert (estimate.mean, estimate.interval, estimate.count) == (0.5, None, 1)
    assert not estimate.above_zero
    assert BOOTSTRAP.band(np.asarray([[0.1, 0.2]])) is None


def test_no_values_have_no_estimate() -> None:
    assert BOOTSTRAP.estimate([]) is None


@given(VALUES)
def test_seeds_above_zero_are_counted_exactly(values: list[float]) -> None:
    estimate = BOOTSTRAP.estimate(values)
    assert estimate is not None
    assert estimate.positive == sum(value > 0 for value in values)


@given(VALUES)
def test_values_of_one_sign_give_an_interval_that_excludes_zero(values: list[float]) -> None:
    estimate = BOOTSTRAP.estimate([abs(value) + 0.01 for value in values])
    assert estimate is not None
    assert estimate.above_zero
    assert not estimate.below_zero


@given(VALUES)
def test_a_band_of_constant_curves_is_the_interval_of_their_level(values: list[float]) -> None:
    band = BOOTSTRAP.band(np.asarray([[value, value] for value in values]))
    assert band is not None
    low, high = band
    assert low[0] == low[1]
    assert min(values) - 1e-12 <= low[0] <= np.mean(values) + 1e-12
    assert np.mean(values) - 1e-12 <= high[0] <= max(values) + 1e-12


def test_equal_values_give_equal_intervals_every_time() -> None:
    again = [BOOTSTRAP.estimate([0.1, 0.4, 0.2]) for _ in range(2)]
    assert again[0] == again[1]
    assert again[0] is not None
    assert again[0].mean == pytest.approx(0.7 / 3)
