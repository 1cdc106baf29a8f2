"""Whether the sampler holds the learner's weights, by the log-probabilities of both."""

import math
from pathlib import Path

from schemas.report import DriftReport
from schemas.rollout import Group, Rollout, Round
from zppo.core.randomness import generator
from zppo.errors import EngineError
from zppo.ports import Learner, TrainingRow

DRIFT_SAMPLE = 8
"""Rollouts of a round that the learner scores as well; stale weights show in every one of them."""


def measure_drift(round_: Round, seed: int, learner: Learner) -> DriftReport | None:
    """Compare the sampler's log-probabilities with the learner's, by token; None where there is none."""
    rows = [_sampled(group, rollout) for group in round_.groups for rollout in group.rollouts]
    chosen = generator(seed, round_.index, "drift").sample(rows, min(DRIFT_SAMPLE, len(rows)))
    scores = learner.logprobs([row for row, _ in chosen])
    differences = [
        abs(ours - theirs)
        for (_, sampled), scored in zip(chosen, scores, strict=True)
        for ours, theirs in zip(scored, sampled, strict=True)
    ]
    if not differences:
        return None
    mean = math.fsum(differences) / len(differences)
    return DriftReport(tokens=len(differences), mean=mean, max=max(differences))


def stale_sampler(drift: DriftReport, limit: float, collected: Path) -> EngineError:
    """The error of a drift beyond the limit.

    Args:
        drift: Of a round.
        limit: The recipe's `sampler_drift_limit`.
        collected: Where the round's rollouts lie.
    """
    return EngineError(
        f"the sampler does not hold the current weights: in round {int(collected.parent.name)} its "
        f"log-probabilities differ from the learner's by {drift.mean:.2g} on average and "
        f"{drift.max:.2g} at most, over {drift.tokens} tokens; the limit is "
        f"{limit:.2g} (sampler_drift_limit). Mend the sampler, remove {collected}, "
        "and resume the run, which samples the round again; or, where the weights' type rounds that "
        "much, fork the run with a higher limit"
    )


def _sampled(group: Group, rollout: Rollout) -> tuple[TrainingRow, tuple[float, ...]]:
    """A rollout for the learner to score, and the sampler's log-probabilities."""
    name = f"{group.id}#{rollout.index}"
    return TrainingRow(name, group.prompt.context_ids, rollout.token_ids), rollout.logprobs
