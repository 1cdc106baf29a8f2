from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.rollout import Group
from tests.build import group
from zppo.core.randomness import generator
from zppo.core.zone import hardest_first, is_hard

groups = st.lists(st.lists(st.integers(0, 1), max_size=8), max_size=12).map(
    lambda rewards: [group(each, f"q{place}") for place, each in enumerate(rewards)]
)
taus = st.sampled_from([0.125, 0.25, 0.3, 0.5, 0.75, 1.0])


@pytest.mark.parametrize(("correct", "hard"), [(0, True), (3, True), (4, False), (8, False)])
def test_a_question_is_hard_when_fewer_than_half_of_its_rollouts_are_correct(
    correct: int, hard: bool
) -> None:
    assert is_hard(group([1] * correct + [0] * (8 - correct)).accuracy, 0.5) is hard


def test_the_threshold_itself_is_not_hard() -> None:
    assert not is_hard(0.3, 0.3)
    assert not is_hard(group([1] * 3 + [0] * 7).accuracy, 0.3)


def test_a_group_without_a_valid_rollout_shows_no_hard_question() -> None:
    assert not is_hard(group([], failures=8).accuracy, 1.0)


def test_failures_leave_the_group_before_its_accuracy_is_taken() -> None:
    assert is_hard(group([1, 0], failures=6).accuracy, 0.5) is False


@given(groups, taus, st.integers(0, 2**32))
def test_the_order_holds_exactly_the_hard_questions_by_ascending_accuracy(
    plain: list[Group], tau: float, seed: int
) -> None:
    ordered = hardest_first(plain, tau, generator(seed))
    assert Counter(each.id for each in ordered) == Counter(
        each.id for each in plain if each.accuracy is not None and each.accuracy < tau
    )
    accuracies = [each.accuracy or 0.0 for each in ordered]
    assert accuracies == sorted(accuracies)


def test_ties_do_not_depend_on_the_place_in_the_list() -> None:
    tied = [group([0] * 8, f"q{place}", replayed=place > 3) for place in range(5)]
    trials = 4_000
    first = Counter(hardest_first(tied, 0.5, generator("ties", trial))[0].id for trial in range(trials))
    last = Counter(hardest_first(tied, 0.5, generator("ties", trial))[-1].id for trial in range(trials))
    five_sigma = 5 * (trials * 0.2 * 0.8) ** 0.5
    for each in tied:
        assert abs(first[each.id] - trials / 5) < five_sigma
        assert abs(last[each.id] - trials / 5) < five_sigma


def test_a_harder_question_never_loses_to_chance() -> None:
    plain = [group([1, 1, 1, 0, 0, 0, 0, 0], "easier"), group([0] * 8, "harder")]
    for trial in range(50):
        assert [each.question_id for each in hardest_first(plain, 0.5, generator(trial))] == [
            "harder",
            "easier",
        ]
