import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.studies import round_point, run
from zppo.core.study.estimates import Bootstrap
from zppo.core.study.rounds import WINDOW, composition, series, smoothed

BOOTSTRAP = Bootstrap(confidence=0.95, resamples=200)
SHARES = st.lists(st.none() | st.floats(0.0, 1.0), max_size=30)


@given(SHARES)
def test_smoothing_stays_within_the_known_values(values: list[float | None]) -> None:
    known = [value for value in values if value is not None]
    for value in smoothed(values):
        assert value is None or min(known) - 1e-12 <= value <= max(known) + 1e-12


@given(SHARES)
def test_a_round_without_values_near_it_has_none(values: list[float | None]) -> None:
    half = WINDOW // 2
    for at, value in enumerate(smoothed(values)):
        near = values[max(0, at - half) : at + half + 1]
        assert (value is None) == all(each is None for each in near)


def test_a_series_is_the_mean_over_the_seeds_that_have_it() -> None:
    runs = [
        run(seed=seed, rounds=[round_point(at, zero_advantage_groups=share) for at in range(1, 9)])
        for seed, share in enumerate((0.2, 0.4, None))
    ]
    found = series(runs, lambda point: point.zero_advantage_groups, BOOTSTRAP)
    assert found is not None
    assert found.seeds == 2
    assert list(found.amounts) == list(range(1, 9))
    assert found.means == pytest.approx([0.3] * 8)


def test_a_value_that_no_round_has_gives_no_series() -> None:
    assert series([run()], lambda point: point.bcq_neither, BOOTSTRAP) is None
    assert series([], lambda point: point.bcq_neither, BOOTSTRAP) is None


def test_replayed_questions_are_told_from_new_ones_and_all_groups_are_counted() -> None:
    rounds = [round_point(1, groups={"plain": 8}), round_point(2, groups={"plain": 10, "bcq": 3}, replayed=2)]
    found = composition([run(rounds=rounds), run(seed=1, rounds=[round_point(1), round_point(2)])])
    assert found == {"new": [8.0, 8.0], "replayed": [0.0, 1.0], "bcq": [0.0, 1.5]}
