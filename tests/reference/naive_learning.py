"""What the naive step learns from: advantages, mini-batches, weights of distillation."""

import math
from collections.abc import Callable
from random import Random
from typing import Any

from tests.reference.naive_sampling import RUN_SEED
from tests.reference.naive_values import NaiveGroup, NaiveRow, Response
from tests.reference.world import World
from zppo.core.randomness import derive_seed


def naive_objective(ratio: Any, advantage: float, low: float, high: float, dual: float) -> Any:
    """The clipped objective of one token; the ratio is a number or a scalar tensor."""
    clipped = min(max(ratio, 1 - low), 1 + high)
    objective = min(ratio * advantage, clipped * advantage)
    if advantage < 0:
        objective = max(objective, dual * advantage)
    return objective


def naive_advantages(
    groups: dict[str, list[tuple[str, int]]], normalization: str, eps: float = 1e-6
) -> dict[str, float]:
    """By rollout: centre each group, then divide by one deviation over the counted groups."""
    centred: dict[str, float] = {}
    counted: list[float] = []
    for rollouts in groups.values():
        mean = sum(reward for _, reward in rollouts) / len(rollouts)
        rewards = {reward for _, reward in rollouts}
        for name, reward in rollouts:
            centred[name] = reward - mean
            if len(rewards) > 1 or normalization == "all":
                counted.append(reward - mean)
    if normalization == "none":
        return centred
    if not counted:
        return dict.fromkeys(centred, 0.0)
    mu = sum(counted) / len(counted)
    sigma = math.sqrt(sum((value - mu) ** 2 for value in counted) / len(counted))
    result = {}
    for rollouts in groups.values():
        trivial = len({reward for _, reward in rollouts}) == 1
        for name, _ in rollouts:
            result[name] = 0.0 if trivial else (centred[name] - mu) / (sigma + eps)
    return result


def policy_batches(
    world: World, groups: list[NaiveGroup], learns: Callable[[NaiveGroup], bool]
) -> list[list[NaiveRow]]:
    """`I` piles of whole groups; a group that does not learn has zero advantages and counts nowhere."""
    its = world.profile
    valid = [group for group in groups if group.rollouts]
    shuffled = list(valid)
    Random(derive_seed(RUN_SEED, world.round, "mini-batches")).shuffle(shuffled)
    count = min(its.iterations, len(shuffled))
    piles: list[list[NaiveGroup]] = [[] for _ in range(count)]
    for place, group in enumerate(shuffled):
        piles[place % count].append(group)
    advantages = {each.origin: 0.0 for group in valid for each in group.rollouts}
    for population in piles if its.statistics == "mini_batch" else [valid]:
        advantages |= naive_advantages(
            {
                group.id: [(each.origin, each.reward) for each in group.rollouts]
                for group in population
                if learns(group)
            },
            its.normalization,
        )
    if all(value == 0 for value in advantages.values()):
        return []
    return [
        [
            NaiveRow(each.origin, group.context, each.drawn, advantages[each.origin])
            for group in pile
            for each in group.rollouts
        ]
        for pile in piles
    ]


def distillation_batches(responses: list[tuple[NaiveGroup, list[Response]]]) -> list[list[NaiveRow]]:
    """One update: a mean over the responses of each prompt, then over the prompts that have any."""
    learned = [(group, theirs) for group, theirs in responses if theirs]
    rows = []
    for group, theirs in learned:
        for each in theirs:
            weight = 1 / len(learned) / len(theirs)
            rows.append(NaiveRow(each.origin, group.context, each.drawn, weight))
    return [rows] if rows else []
