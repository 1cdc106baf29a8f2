"""What a training method is, and what its rounds need from outside."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from schemas.config.method import StudentRollouts
from schemas.config.models import SamplingConfig
from schemas.question import Question
from schemas.rollout import Round
from schemas.state import TrainState
from zppo.beside import Threads
from zppo.core.prompts import Templates
from zppo.ports import Compressor, Grader, MiniBatch, RolloutEngine, Teacher


@dataclass(frozen=True)
class Collector:
    """What `collect` needs from outside."""

    engine: RolloutEngine
    grader: Grader
    teacher: Teacher | None
    """None for methods that ask none."""
    compressor: Compressor
    extractive: Compressor
    """Shortens all candidates of a prompt for which the compressor failed on any."""
    templates: Templates
    special_tokens: tuple[str, ...]
    """Control tokens of the student's tokenizer."""
    sampling: SamplingConfig
    seed: int
    question: Callable[[str], Question]
    """A training question by its id."""
    phase: Callable[[str], AbstractContextManager[None]]
    """Times a named phase."""
    beside: Threads | None = None
    """Threads for grading and for the teacher, where somebody else's machine works for us while this one
    samples. What a round holds is the same without them."""


class TrainingMethod(Protocol):
    """One training step: what it samples, and what it learns from that.

    The buffer, which is the same for all methods, is `parts.advance`.
    """

    @property
    def config(self) -> StudentRollouts:
        """Its settings."""
        ...

    def collect(self, index: int, new: Sequence[Question], state: TrainState, ports: Collector) -> Round:
        """Everything up to the gradient; a pure function of its arguments and what the ports answer.

        Args:
            index: The round, from 1.
            new: `X_new`, from the data loader.
            state: After the round before.
            ports: Engine, grader, teacher and compressors.
        """
        ...

    def batches(self, round_: Round, seed: int) -> list[MiniBatch]:
        """The mini-batches of the round's optimizer updates; none where there is nothing to learn."""
        ...
