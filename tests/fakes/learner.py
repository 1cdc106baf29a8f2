"""A learner in plain Python: one logit a token, whatever stands before it."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

from schemas.report import DriftReport
from zppo.core.drift import drift_report
from zppo.errors import EngineError, StoreError
from zppo.ports import (
    DistillationRow,
    DriftCheck,
    MiniBatch,
    PolicyRow,
    StaleRolloutsError,
    TrainingRow,
    UpdateStatistics,
)


class UnigramLearner:
    """`Learner` whose policy ignores the context.

    Gradient descent on REINFORCE for policy rows, and on the divergence from a fixed distribution for
    distillation rows.
    """

    def __init__(self, vocabulary: int, learning_rate: float = 0.5) -> None:
        self.logits = [0.0] * vocabulary
        self._learning_rate = learning_rate
        self._teacher = [2 * rank / (vocabulary * (vocabulary + 1)) for rank in range(1, vocabulary + 1)]
        self.batches: list[MiniBatch] = []
        """Every mini-batch of an update so far, in order."""

    def update(self, batch: MiniBatch, check: DriftCheck | None = None) -> UpdateStatistics:
        """Move the logits along the advantages, or towards the teacher."""
        self.batches.append(batch)
        tokens = sum(len(row.response_ids) for row in batch.rows)
        active = [row for row in batch.rows if _coefficient(row) != 0.0]
        active_tokens = sum(len(row.response_ids) for row in active)
        clipped = None if any(isinstance(row, DistillationRow) for row in batch.rows) else 0.0
        which = None if clipped is None else ()
        if not active_tokens:
            return UpdateStatistics(0.0, 0.0, 0.0, clipped, clipped, clipped, tokens, active_tokens, which)
        _check(active)
        drift = self._drift(active, check) if check else None
        loss, gradient = self._distil(active) if clipped is None else self._reinforce(active, tokens)
        entropy = -sum(math.exp(logprob) * logprob for logprob in self._distribution())
        self.logits = [
            logit - self._learning_rate * slope for logit, slope in zip(self.logits, gradient, strict=True)
        ]
        counts = (clipped, clipped, clipped, tokens, active_tokens, which)
        return UpdateStatistics(loss, math.hypot(*gradient), entropy, *counts, drift)

    def publish(self) -> None:
        """Nobody else has the logits."""

    def logprobs(self, rows: Sequence[TrainingRow]) -> list[tuple[float, ...]]:
        """Of each response token."""
        distribution = self._distribution()
        return [tuple(distribution[token] for token in row.response_ids) for row in rows]

    def save(self, directory: Path) -> None:
        """One JSON file."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "unigram.json").write_text(json.dumps(self.logits), encoding="utf-8")

    def load(self, directory: Path) -> None:
        """Read it back."""
        try:
            self.logits = json.loads((directory / "unigram.json").read_text(encoding="utf-8"))
        except OSError as error:
            raise StoreError(f"no checkpoint in {directory}: {error}") from error

    def _reinforce(self, rows: Sequence[TrainingRow], tokens: int) -> tuple[float, list[float]]:
        gradient = [0.0] * len(self.logits)
        for row in rows:
            for token, weight in zip(row.response_ids, _importance(row), strict=True):
                gradient[token] -= weight * _coefficient(row) / tokens
        mean = sum(gradient) / len(gradient)
        loss = -sum(_coefficient(row) * math.fsum(_importance(row)) for row in rows) / tokens
        return loss, [slope - mean for slope in gradient]

    def _distil(self, rows: Sequence[TrainingRow]) -> tuple[float, list[float]]:
        """The divergence is the same at every token, so the rows' lengths have no influence."""
        weight = math.fsum(_coefficient(row) for row in rows)
        student = list(map(math.exp, self._distribution()))
        mixture = [(p + q) / 2 for p, q in zip(student, self._teacher, strict=True)]
        ratios = [math.log(p / m) for p, m in zip(student, mixture, strict=True)]
        from_student = sum(p * ratio for p, ratio in zip(student, ratios, strict=True))
        from_teacher = sum(q * math.log(q / m) for q, m in zip(self._teacher, mixture, strict=True))
        gradient = [weight * p * (ratio - from_student) / 2 for p, ratio in zip(student, ratios, strict=True)]
        return weight * (from_student + from_teacher) / 2, gradient

    def _drift(self, rows: Sequence[TrainingRow], check: DriftCheck) -> DriftReport | None:
        checked = [row for row in rows if isinstance(row, PolicyRow) and row.rollout in check.rollouts]
        pairs = zip(checked, self.logprobs(checked), strict=True)
        drift = drift_report(
            [abs(a - b) for row, ours in pairs for a, b in zip(ours, row.old_logprobs, strict=True)]
        )
        if drift is not None and drift.max > check.limit:
            raise StaleRolloutsError(drift)
        return drift

    def _distribution(self) -> list[float]:
        normalizer = math.log(sum(map(math.exp, self.logits)))
        return [logit - normalizer for logit in self.logits]


def _coefficient(row: TrainingRow) -> float:
    """The advantage of a policy row, the weight of a distillation row."""
    assert isinstance(row, PolicyRow | DistillationRow)
    return row.advantage if isinstance(row, PolicyRow) else row.weight


def _importance(row: TrainingRow) -> tuple[float, ...]:
    assert isinstance(row, PolicyRow)
    return row.importance or (1.0,) * len(row.response_ids)


def _check(rows: Sequence[TrainingRow]) -> None:
    for row in rows:
        numbers = [_coefficient(row), *(row.old_logprobs if isinstance(row, PolicyRow) else ())]
        if not all(map(math.isfinite, numbers)):
            raise EngineError(f"the loss is not finite in rollout {row.rollout}")
