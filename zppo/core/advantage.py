"""Advantages of graded rollouts, and the split of a round into mini-batches.

REINFORCE++ in two steps (https://arxiv.org/abs/2501.03262): the group's mean reward is the baseline, then
one standard deviation, pooled over groups, is the scale. Groups without a spread are left out of that
scale by default: they carry no signal, and counting their zeros would inflate every other advantage.
"""

import math
from collections.abc import Sequence
from random import Random

from schemas.config.method import Normalization


def compute_advantages(
    rewards_by_group: Sequence[Sequence[float]], normalization: Normalization, eps: float = 1e-6
) -> list[list[float]]:
    """Advantages of every rollout, in the shape of the rewards.

    Args:
        rewards_by_group: The rewards of each group's valid rollouts; sizes may differ, and may be 0.
        normalization: Population of the standard deviation: `nonzero`, the groups whose rewards differ;
            `all`, every group; `none` leaves the centred rewards unscaled.
        eps: Added to the standard deviation.

    Returns:
        One advantage a rollout. They sum to zero in every group, and are exactly zero in a group whose
        rewards are all equal.
    """
    centred_by_group = [_centre(rewards_G) for rewards_G in rewards_by_group]
    if normalization == "none":
        return centred_by_group
    counted = [
        centred_G
        for centred_G, rewards_G in zip(centred_by_group, rewards_by_group, strict=True)
        if normalization == "all" or _has_spread(rewards_G)
    ]
    scale = _pooled_deviation(counted) + eps
    return [[centred / scale for centred in centred_G] for centred_G in centred_by_group]


def split_mini_batches(group_ids: Sequence[str], iterations: int, seed: int) -> list[list[str]]:
    """Deal shuffled groups out to the updates of a round, every group to exactly one.

    Args:
        group_ids: Unique ids; their order and `seed` decide the result.
        iterations: Parts wanted, at least 1.
        seed: Of the shuffle.

    Returns:
        `min(iterations, len(group_ids))` parts, none empty, whose sizes differ by at most one group.
    """
    shuffled = list(group_ids)
    Random(seed).shuffle(shuffled)
    parts = min(iterations, len(shuffled))
    return [shuffled[part::parts] for part in range(parts)]


def _has_spread(rewards_G: Sequence[float]) -> bool:
    return len(set(rewards_G)) > 1


def _centre(rewards_G: Sequence[float]) -> list[float]:
    # Exact zeros for equal rewards: the mean of n equal floats need not be that float.
    if not _has_spread(rewards_G):
        return [0.0] * len(rewards_G)
    mean = math.fsum(rewards_G) / len(rewards_G)
    return [reward - mean for reward in rewards_G]


def _pooled_deviation(centred_by_group: Sequence[Sequence[float]]) -> float:
    """Population standard deviation; the pooled mean is zero because every group is centred."""
    squares = [centred**2 for centred_G in centred_by_group for centred in centred_G]
    return math.sqrt(math.fsum(squares) / len(squares)) if squares else 0.0
