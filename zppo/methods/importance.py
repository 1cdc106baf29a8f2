"""Truncated importance sampling: updates on rollouts of a sampler that is not quite the learner.

An engine of its own rounds otherwise than the learner, so its rollouts come from a slightly other policy. The
loss then takes its ratio to the learner's policy before the round's first update, and the probability of
each token under that policy over that under the sampler's, truncated, as a weight (Yao et al. 2025, "Your
efficient RL framework secretly brings you off-policy RL training").
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from zppo.ports import Learner, MiniBatch, PolicyRow


@dataclass(frozen=True)
class Effect:
    """What the weights of a mini-batch come to, over the tokens with an advantage; None without any."""

    importance_weight: float | None
    """Their mean."""
    importance_capped: float | None
    """The fraction of them that is the cap."""


def weigh(batches: Sequence[MiniBatch], cap: float, learner: Learner) -> list[MiniBatch]:
    """A round's mini-batches with the learner's log-probabilities as the old ones, and a weight a token.

    Args:
        batches: Of policy rows, whose old log-probabilities are the sampler's.
        cap: Largest weight.
        learner: Before the first of these updates.
    """
    active = [row for batch in batches for row in _active(batch)]
    scored = dict(zip((row.rollout for row in active), learner.logprobs(active), strict=True))
    return [
        MiniBatch(
            tuple(
                _weighed(row, scored[row.rollout], cap) if row.rollout in scored else row
                for row in _policy(batch)
            )
        )
        for batch in batches
    ]


def effect(batch: MiniBatch, cap: float | None) -> Effect:
    """The weights of a mini-batch in two numbers."""
    weights = [weight for row in _active(batch) for weight in row.importance or ()]
    if not weights:
        return Effect(None, None)
    return Effect(math.fsum(weights) / len(weights), sum(weight == cap for weight in weights) / len(weights))


def _weighed(row: PolicyRow, learned: tuple[float, ...], cap: float) -> PolicyRow:
    pairs = zip(learned, row.old_logprobs, strict=True)
    # The smaller exponent first: a token all but impossible to the sampler must not overflow.
    weights = tuple(min(cap, math.exp(min(ours - theirs, math.log(cap) + 1))) for ours, theirs in pairs)
    return replace(row, old_logprobs=learned, importance=weights)


def _active(batch: MiniBatch) -> list[PolicyRow]:
    return [row for row in batch.rows if isinstance(row, PolicyRow) and row.advantage != 0.0]


def _policy(batch: MiniBatch) -> list[PolicyRow]:
    rows = [row for row in batch.rows if isinstance(row, PolicyRow)]
    assert len(rows) == len(batch.rows), "only a policy gradient is weighed"
    return rows
