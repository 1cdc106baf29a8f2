import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zppo.core.statistics import difference_interval, mean, mean_interval

ACCURACIES = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=40)


def _interval(values: list[float], confidence: float = 0.95, seed: int = 0):
    return mean_interval(values, confidence, 400, seed)


@given(ACCURACIES, st.integers(0, 2**63 - 1))
def test_an_interval_lies_within_the_values_and_is_ordered(values: list[float], seed: int) -> None:
    interval = _interval(values, seed=seed)
    assert min(values) - 1e-12 <= interval.low <= interval.high <= max(values) + 1e-12


@given(ACCURACIES, st.randoms(use_true_random=False))
def test_the_interval_does_not_depend_on_the_order_of_the_questions(values: list[float], rng) -> None:
    shuffled = rng.sample(values, len(values))
    assert _interval(values) == _interval(shuffled)
    assert mean(values) == mean(shuffled)


@given(ACCURACIES)
def test_a_higher_level_gives_no_narrower_interval(values: list[float]) -> None:
    narrow, wide = _interval(values, 0.8), _interval(values, 0.99)
    assert wide.low <= narrow.low
    assert narrow.high <= wide.high


@given(st.sampled_from([0.0, 0.5, 1.0]), st.integers(1, 50))
def test_equal_values_give_an_interval_without_width(value: float, count: int) -> None:
    interval = _interval([value] * count)
    assert interval.low == pytest.approx(value)
    assert interval.high == pytest.approx(value)


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = random.Random(1)
    covered = 0
    for trial in range(400):
        values = [float(rng.random() < 0.3) for _ in range(80)]
        interval = _interval(values, seed=trial)
        covered += interval.low <= 0.3 <= interval.high
    assert 0.91 <= covered / 400 <= 0.98


def test_the_width_is_that_of_the_normal_approximation_for_many_questions() -> None:
    values = [1.0] * 300 + [0.0] * 700
    interval = mean_interval(values, 0.95, 4000, 0)
    error = statistics.pstdev(values) / len(values) ** 0.5
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * error, rel=0.05)


def test_pairing_removes_what_both_sides_share() -> None:
    rng = random.Random(2)
    before = [float(rng.random() < 0.5) for _ in range(200)]
    after = [1.0 if number < 20 else value for number, value in enumerate(before)]
    paired = difference_interval(after, before, 0.95, 400, 0)
    unpaired = _interval(after).high - _interval(after).low
    assert 0.0 < paired.low < mean(after) - mean(before) < paired.high
    assert paired.high - paired.low < unpaired


@given(ACCURACIES)
def test_a_model_compared_with_itself_differs_by_exactly_nothing(values: list[float]) -> None:
    interval = difference_interval(values, values, 0.95, 100, 0)
    assert (interval.low, interval.high) == (0.0, 0.0)


def test_no_questions_have_no_interval() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        _interval([])
