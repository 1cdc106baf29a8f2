"""Advantages of a round, dealt out to its mini-batches."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.config.method import Grpo
from schemas.rollout import Group
from tests.build import a_round, group
from zppo.methods.gradient import mini_batches, rows
from zppo.ports import PolicyRow

rewards = st.lists(st.integers(0, 1), min_size=4, max_size=4)
rounds = st.lists(rewards, min_size=1, max_size=9).map(
    lambda each: [group(values, f"q{place}") for place, values in enumerate(each)]
)


def advantages(groups: list[Group], **settings: object) -> dict[str, float]:
    config = Grpo.model_validate({"type": "grpo"} | settings)
    return {
        row.rollout: row.advantage
        for batch in mini_batches(a_round(*groups), config, 3)
        for row in batch.rows
        if isinstance(row, PolicyRow)
    }


@given(rounds)
def test_all_inflates_the_advantages_of_a_round_by_one_over_the_root_of_the_fraction_of_nontrivial_groups(
    groups: list[Group],
) -> None:
    fraction = sum(len({each.reward for each in one.rollouts}) > 1 for one in groups) / len(groups)
    nonzero, inflated = advantages(groups), advantages(groups, normalization="all")
    assert inflated.keys() == nonzero.keys()
    for name, value in nonzero.items():
        # The closed form holds for eps -> 0, here 1e-6 beside a deviation of at least 0.1.
        assert inflated[name] == pytest.approx(value / math.sqrt(fraction), rel=1e-4)


@given(rounds, st.integers(1, 6))
def test_advantages_of_the_whole_step_do_not_depend_on_the_number_of_updates(
    groups: list[Group], iterations: int
) -> None:
    assert advantages(groups, iterations=iterations) == advantages(groups, iterations=1)


@given(rounds, st.integers(2, 6))
def test_statistics_of_a_mini_batch_are_its_own(groups: list[Group], iterations: int) -> None:
    config = Grpo(iterations=iterations, statistics="mini_batch")
    for batch in mini_batches(a_round(*groups), config, 3):
        ids = {row.rollout.split("#")[0] for row in batch.rows}
        alone = advantages([each for each in groups if each.id in ids])
        dealt = {row.rollout: row.advantage for row in batch.rows if isinstance(row, PolicyRow)}
        assert dealt == (alone or dict.fromkeys(dealt, 0.0))


@given(rounds, st.integers(1, 6))
def test_there_is_an_update_for_each_part_or_none_at_all(groups: list[Group], iterations: int) -> None:
    batches = mini_batches(a_round(*groups), Grpo(iterations=iterations), 3)
    spread = any(len({each.reward for each in one.rollouts}) > 1 for one in groups)
    assert len(batches) == (min(iterations, len(groups)) if spread else 0)
    assert all(batch.rows for batch in batches)


def test_a_group_without_a_valid_rollout_takes_no_place() -> None:
    groups = [group([0, 1], "a"), group([], "lost", failures=2), group([1, 0], "b")]
    batches = mini_batches(a_round(*groups), Grpo(iterations=4), 3)
    assert len(batches) == 2


def test_a_row_is_the_rollout_as_drawn() -> None:
    one = group([1], "a")
    (row,) = rows(one, [0.5])
    (rollout,) = one.rollouts
    assert (row.rollout, row.prompt_ids, row.advantage) == ("r1/a/plain#0", one.prompt.token_ids, 0.5)
    assert (row.response_ids, row.old_logprobs) == (rollout.token_ids, rollout.logprobs)
