"""The optimizer updates of a round, in order, and what they measured."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import NamedTuple

from schemas.clipping import ClippedTokens
from schemas.report import DriftReport, UpdateReport
from zppo.core.drift import together
from zppo.methods import importance
from zppo.ports import DriftCheck, Learner, MiniBatch, UpdateStatistics


class Learnt(NamedTuple):
    """What the updates of a round measured."""

    updates: list[UpdateReport]
    clipped: Sequence[Sequence[ClippedTokens]] | None
    """What each clipped, where the learner tells it of all."""
    drift: DriftReport | None
    """Of the rollouts that were checked; None where none were."""


def learn(
    batches: Sequence[MiniBatch], learner: Learner, cap: float | None, check: DriftCheck | None = None
) -> Learnt:
    """Make the updates, and let the sampler have the weights.

    Args:
        batches: A round's, weighed where a cap is given.
        learner: Makes them.
        cap: Of the importance weights; None without a correction for the sampler.
        check: What the first of them that computes these rollouts checks before it changes a weight.

    Raises:
        StaleRolloutsError: The check failed, before any update.
    """
    effects = [importance.effect(batch, cap) for batch in batches]
    statistics = [learner.update(batch, check) for batch in batches]
    learner.publish()
    updates = [_update_report(each, effect) for each, effect in zip(statistics, effects, strict=True)]
    clipped = [each.clipped_tokens for each in statistics if each.clipped_tokens is not None]
    told = clipped if len(clipped) == len(statistics) else None
    return Learnt(updates, told, together([each.drift for each in statistics]))


def _update_report(statistics: UpdateStatistics, effect: importance.Effect) -> UpdateReport:
    apart = ("clipped_tokens", "drift")
    numbers = {name: value for name, value in vars(statistics).items() if name not in apart}
    return UpdateReport(**numbers, **asdict(effect))
