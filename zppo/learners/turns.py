"""A learner that shares its GPU with the sampler."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from zppo.ports import DriftCheck, Learner, MiniBatch, TrainingRow, UpdateStatistics


@dataclass(frozen=True)
class TurnTakingLearner:
    """`Learner` that has the sampler leave the GPU before it works."""

    learner: Learner
    leave: Callable[[], None]
    """Returns when the sampler has left; does nothing where it already has."""

    def update(self, batch: MiniBatch, check: DriftCheck | None = None) -> UpdateStatistics:
        """One optimizer update."""
        self.leave()
        return self.learner.update(batch, check)

    def publish(self) -> None:
        """Give the weights to the sampler."""
        self.leave()
        self.learner.publish()

    def logprobs(self, rows: Sequence[TrainingRow]) -> list[tuple[float, ...]]:
        """Log-probability of each response token at the sampling temperature."""
        self.leave()
        return self.learner.logprobs(rows)

    def save(self, directory: Path) -> None:
        """Write a checkpoint; takes no room on the GPU."""
        self.learner.save(directory)

    def load(self, directory: Path) -> None:
        """Restore what `save` wrote."""
        self.leave()
        self.learner.load(directory)
