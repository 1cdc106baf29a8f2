"""Whether the sampler holds the learner's weights, by the log-probabilities of both."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

from schemas.report import DriftReport
from schemas.rollout import Group, Rollout, Round
from zppo.core.drift import drift_report
from zppo.core.randomness import generator
from zppo.errors import EngineError
from zppo.ports import DriftCheck, Learner, MiniBatch, PolicyRow, StaleRolloutsError, TrainingRow

DRIFT_SAMPLE = 8
"""Rollouts of a round that are compared; stale weights show in every one of them."""
_Sampled = tuple[Group, Rollout]


@dataclass(frozen=True)
class Comparison:
    """The rollouts of a round whose log-probabilities are compared before any weight changes."""

    check: DriftCheck
    """Those that an update computes anyway: it compares them in its forward pass."""
    others: tuple[tuple[TrainingRow, tuple[float, ...]], ...]
    """Those that the learner scores for this alone, with the sampler's log-probabilities."""

    def score_others(self, learner: Learner) -> DriftReport | None:
        """Compare those that no update computes; None where there are none.

        Raises:
            StaleRolloutsError: They differ by more than the limit.
        """
        scores = learner.logprobs([row for row, _ in self.others])
        drift = drift_report(
            [
                abs(ours - theirs)
                for (_, sampled), scored in zip(self.others, scores, strict=True)
                for ours, theirs in zip(scored, sampled, strict=True)
            ]
        )
        if drift is not None and drift.max > self.check.limit:
            raise StaleRolloutsError(drift)
        return drift


def comparison(round_: Round, batches: Sequence[MiniBatch], seed: int, limit: float) -> Comparison:
    """Choose the rollouts to compare.

    A sampler may be stale in part: one of several servers, or from the reformulated prompts on. So every kind
    of prompt is among them, and no prompt twice while another is left out. Those of the first update, whose
    groups are a random part of the round's, cost nothing and go first.

    Args:
        round_: As collected.
        batches: Its mini-batches; none where their old log-probabilities are not the sampler's.
        seed: The run's.
        limit: Largest difference of a log-probability.
    """
    computed = next(filter(None, map(_computed, batches)), set())
    chosen = _sample(round_, computed, generator(seed, round_.index, "drift"))
    return Comparison(
        check=DriftCheck(frozenset(computed & chosen.keys()), limit),
        others=tuple(_row(name, *each) for name, each in chosen.items() if name not in computed),
    )


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


def _computed(batch: MiniBatch) -> set[str]:
    """The rollouts that an update runs forward; none in distillation, which has no old log-probabilities."""
    return {row.rollout for row in batch.rows if isinstance(row, PolicyRow) and row.advantage != 0.0}


def _sample(round_: Round, computed: Collection[str], random: Random) -> dict[str, _Sampled]:
    """Up to `DRIFT_SAMPLE` rollouts by name: one a prompt, then further ones that are computed anyway."""
    rollouts = {
        f"{group.id}#{rollout.index}": (group, rollout)
        for group in round_.groups
        for rollout in group.rollouts
    }
    order = random.sample(list(rollouts), len(rollouts))
    order.sort(key=lambda name: name not in computed)
    # The first of a kind is also the first of its prompt.
    of_kinds = {rollouts[name][0].prompt.kind: name for name in reversed(order)}
    of_prompts = {rollouts[name][0].id: name for name in reversed(order)}
    free = [name for name in order if name in computed]
    wanted = dict.fromkeys([*of_kinds.values(), *sorted(of_prompts.values(), key=order.index), *free])
    return {name: rollouts[name] for name in islice(wanted, DRIFT_SAMPLE)}


def _row(name: str, group: Group, rollout: Rollout) -> tuple[TrainingRow, tuple[float, ...]]:
    """A rollout for the learner to score, and the sampler's log-probabilities."""
    return TrainingRow(name, group.prompt.context_ids, rollout.token_ids), rollout.logprobs
