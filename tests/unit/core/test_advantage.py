"""Advantages and mini-batches."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.config.method import Normalization
from zppo.core.advantage import compute_advantages, split_mini_batches

rewards = st.sampled_from([0.0, 1.0])
groups = st.lists(st.lists(rewards, max_size=9), max_size=8)
equal_groups = st.integers(2, 8).flatmap(
    lambda size: st.lists(st.lists(rewards, min_size=size, max_size=size), min_size=1, max_size=8)
)
normalizations = st.sampled_from(["none", "nonzero", "all"])


@given(groups, normalizations)
def test_advantages_of_a_group_sum_to_zero_and_keep_its_shape(
    rewards_by_group: list[list[float]], normalization: Normalization
) -> None:
    advantages = compute_advantages(rewards_by_group, normalization)
    assert [len(group) for group in advantages] == [len(group) for group in rewards_by_group]
    assert all(abs(sum(group)) < 1e-12 for group in advantages)


@given(
    st.lists(
        st.tuples(st.floats(-3, 3), st.integers(1, 9)).map(lambda pair: [pair[0]] * pair[1]), max_size=5
    ),
    normalizations,
)
def test_without_a_spread_every_advantage_is_exactly_zero(
    trivial_groups: list[list[float]], normalization: Normalization
) -> None:
    advantages = compute_advantages(trivial_groups, normalization)
    assert all(advantage == 0.0 for group in advantages for advantage in group)


@given(groups, st.lists(rewards.map(lambda reward: [reward] * 8), max_size=5))
def test_nonzero_normalization_ignores_trivial_groups(
    rewards_by_group: list[list[float]], trivial_groups: list[list[float]]
) -> None:
    alone = compute_advantages(rewards_by_group, "nonzero")
    together = compute_advantages([*rewards_by_group, *trivial_groups], "nonzero")
    assert together[: len(alone)] == alone


@given(groups, normalizations, st.randoms(use_true_random=False))
def test_the_order_of_groups_does_not_matter(
    rewards_by_group: list[list[float]], normalization: Normalization, random: object
) -> None:
    order = list(range(len(rewards_by_group)))
    random.shuffle(order)  # type: ignore[attr-defined]
    advantages = compute_advantages(rewards_by_group, normalization)
    shuffled = compute_advantages([rewards_by_group[place] for place in order], normalization)
    assert shuffled == [advantages[place] for place in order]


@given(equal_groups)
def test_all_inflates_advantages_by_one_over_the_root_of_the_fraction_of_nontrivial_groups(
    rewards_by_group: list[list[float]],
) -> None:
    fraction = sum(len(set(group)) > 1 for group in rewards_by_group) / len(rewards_by_group)
    nonzero = compute_advantages(rewards_by_group, "nonzero", eps=0.0 if fraction else 1.0)
    inflated = compute_advantages(rewards_by_group, "all", eps=0.0 if fraction else 1.0)
    for group, other in zip(nonzero, inflated, strict=True):
        expected = [advantage / math.sqrt(fraction) if fraction else 0.0 for advantage in group]
        assert other == pytest.approx(expected, abs=1e-12)


def test_a_worked_example() -> None:
    rewards_by_group = [[1.0, 0.0, 0.0, 0.0], [1.0, 1.0], []]
    centred = [0.75, -0.25, -0.25, -0.25]
    deviation = math.sqrt(0.1875)
    assert compute_advantages(rewards_by_group, "none") == [centred, [0.0, 0.0], []]
    scaled = compute_advantages(rewards_by_group, "nonzero")
    assert scaled[0] == pytest.approx([value / (deviation + 1e-6) for value in centred])
    assert scaled[1:] == [[0.0, 0.0], []]


ids = st.integers(0, 40).map(lambda count: [f"group {index}" for index in range(count)])


@given(ids, st.integers(1, 9), st.integers(0, 2**63 - 1))
def test_mini_batches_hold_every_group_once_in_nonempty_parts_of_nearly_equal_size(
    group_ids: list[str], iterations: int, seed: int
) -> None:
    parts = split_mini_batches(group_ids, iterations, seed)
    assert len(parts) == min(iterations, len(group_ids))
    assert Counter(name for part in parts for name in part) == Counter(group_ids)
    sizes = [len(part) for part in parts]
    assert not sizes or (min(sizes) > 0 and max(sizes) - min(sizes) <= 1)


@given(ids, st.integers(1, 9), st.integers(0, 2**63 - 1))
def test_mini_batches_depend_on_the_seed_alone(group_ids: list[str], iterations: int, seed: int) -> None:
    assert split_mini_batches(group_ids, iterations, seed) == split_mini_batches(group_ids, iterations, seed)


def test_mini_batches_are_shuffled() -> None:
    group_ids = [f"group {index}" for index in range(40)]
    first, second = (split_mini_batches(group_ids, 4, seed) for seed in (0, 1))
    assert first != second
    assert first[0] != group_ids[::4]
