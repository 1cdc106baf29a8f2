"""The learner and the rows that it is given."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from schemas.clipping import ClippedTokens
from schemas.report import DriftReport
from zppo.errors import EngineError


@dataclass(frozen=True)
class TrainingRow:
    """One response as the learner sees it."""

    rollout: str
    """`<group id>#<index>`, or where a teacher response stands; for error messages."""
    prompt_ids: tuple[int, ...]
    """Everything before the first token that counts, a forced prefix included."""
    response_ids: tuple[int, ...]


@dataclass(frozen=True)
class PolicyRow(TrainingRow):
    """A rollout for the policy gradient; every token of the response was sampled by the student."""

    old_logprobs: tuple[float, ...]
    advantage: float
    importance: tuple[float, ...] | None = None
    """Weight of each token's surrogate; None is 1 throughout."""


@dataclass(frozen=True)
class DistillationRow(TrainingRow):
    """A response along which student and teacher are compared."""

    weight: float
    """Of its mean divergence over its tokens; the loss is the weighted sum over the rows."""


@dataclass(frozen=True)
class MiniBatch:
    """The rows of one optimizer update, all of one kind."""

    rows: tuple[PolicyRow, ...] | tuple[DistillationRow, ...]


@dataclass(frozen=True)
class UpdateStatistics:
    """What one optimizer update measured; fractions are of its response tokens."""

    loss: float
    grad_norm: float
    """Before it was clipped."""
    entropy: float
    """Of the student, in nats, the mean over the active tokens; 0 where there are none."""
    clip_low_fraction: float | None
    """As the other two, None where nothing is clipped: in distillation."""
    clip_high_fraction: float | None
    dual_clip_fraction: float | None
    tokens: int
    """Response tokens of the mini-batch."""
    active_tokens: int
    """Those of rows with an advantage or a weight; with none of them there was no update."""
    clipped_tokens: tuple[ClippedTokens, ...] | None = None
    """Which tokens the fractions count, in the order of the rows; None where nothing is clipped, or where
    the learner does not tell."""
    drift: DriftReport | None = None
    """Of the rollouts that were to be checked; None where none of them is active."""


@dataclass(frozen=True)
class DriftCheck:
    """Rollouts that the learner's weights must have sampled, or the update is refused."""

    rollouts: frozenset[str]
    """By name; those that the update does not compute are passed over."""
    limit: float
    """Largest difference between a token's old log-probability and the learner's."""

    def concerns(self, rows: Sequence[TrainingRow]) -> bool:
        """Whether any of these is to be checked."""
        return not self.rollouts.isdisjoint(row.rollout for row in rows)


class StaleRolloutsError(EngineError):
    """An update was refused: its rollouts were not sampled by the learner's weights."""

    def __init__(self, drift: DriftReport) -> None:
        """Take what was measured."""
        super().__init__(f"old log-probabilities differ from the learner's by up to {drift.max:.2g}")
        self.drift = drift


class Learner(Protocol):
    """Holds the student's weights and its optimizer."""

    def update(self, batch: MiniBatch, check: DriftCheck | None = None) -> UpdateStatistics:
        """One optimizer update.

        Args:
            batch: Its rows.
            check: For policy rows, before a round's first update.

        Raises:
            StaleRolloutsError: The check failed; weights unchanged.
            EngineError: NaN or infinity; weights unchanged.
        """
        ...

    def publish(self) -> None:
        """Give the current weights to the sampler that reads the learner's model; after a round's updates."""
        ...

    def logprobs(self, rows: Sequence[TrainingRow]) -> list[tuple[float, ...]]:
        """Log-probability of each response token at the sampling temperature, under the current weights."""
        ...

    def save(self, directory: Path) -> None:
        """Write a checkpoint that transformers loads, and the optimizer beside it."""
        ...

    def load(self, directory: Path) -> None:
        """Restore what `save` wrote, to the bit."""
        ...
