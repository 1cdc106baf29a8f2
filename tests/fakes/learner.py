"""A learner in plain Python: one logit a token, whatever stands before it."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

from zppo.errors import EngineError, StoreError
from zppo.ports import MiniBatch, TrainingRow, UpdateStatistics


class UnigramLearner:
    """`Learner` whose policy ignores the context; gradient ascent on REINFORCE."""

    def __init__(self, vocabulary: int, learning_rate: float = 0.5) -> None:
        self.logits = [0.0] * vocabulary
        self._learning_rate = learning_rate
        self.batches: list[MiniBatch] = []
        """Every mini-batch of an update so far, in order."""

    def update(self, batch: MiniBatch) -> UpdateStatistics:
        """Move the logits along the advantages."""
        self.batches.append(batch)
        tokens = sum(len(row.response_ids) for row in batch.rows)
        active = [row for row in batch.rows if row.advantage != 0.0]
        active_tokens = sum(len(row.response_ids) for row in active)
        if not active_tokens:
            return UpdateStatistics(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, tokens, active_tokens)
        gradient = self._gradient(active, tokens)
        loss = -sum(row.advantage * len(row.response_ids) for row in active) / tokens
        self.logits = [
            logit + self._learning_rate * slope for logit, slope in zip(self.logits, gradient, strict=True)
        ]
        entropy = -sum(math.exp(logprob) * logprob for logprob in self._distribution())
        return UpdateStatistics(loss, math.hypot(*gradient), entropy, 0.0, 0.0, 0.0, tokens, active_tokens)

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

    def _gradient(self, rows: Sequence[TrainingRow], tokens: int) -> list[float]:
        gradient = [0.0] * len(self.logits)
        for row in rows:
            if not math.isfinite(row.advantage) or not all(map(math.isfinite, row.old_logprobs)):
                raise EngineError(f"the loss is not finite in rollout {row.rollout}")
            for token in row.response_ids:
                gradient[token] += row.advantage / tokens
        mean = sum(gradient) / len(gradient)
        return [slope - mean for slope in gradient]

    def _distribution(self) -> list[float]:
        normalizer = math.log(sum(map(math.exp, self.logits)))
        return [logit - normalizer for logit in self.logits]
