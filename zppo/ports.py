"""The few things that a training step needs from outside, as Protocols.

Adapters live in one folder for each technology; `zppo.wiring` builds them from a recipe. The same
contract tests hold for every adapter of a port and for its in-memory fake.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from schemas.clipping import ClippedTokens
from schemas.config.models import DecodingConfig
from schemas.evaluation import Evaluation
from schemas.question import Question
from schemas.report import DriftReport
from schemas.rollout import Compression, StopReason, Verdict
from zppo.core.values import Original, TeacherResponse
from zppo.errors import EngineError


@dataclass(frozen=True)
class GenerationRequest:
    """One prompt to answer `len(seeds)` times; its prefill is shared."""

    id: str
    prompt_ids: tuple[int, ...]
    seeds: tuple[int, ...]
    """One seed a response: the same seed on the same weights gives the same tokens, whatever else
    is in the batch."""
    prefix_ids: tuple[int, ...] = ()
    """Tokens that every response starts with. They count towards the response's limit and are part of
    its text, but not of the tokens drawn."""


@dataclass(frozen=True)
class Generation:
    """One sampled response, not graded yet."""

    text: str
    """From the start of the response, a forced prefix included."""
    token_ids: tuple[int, ...]
    """As drawn, the end-of-sequence token included."""
    logprobs: tuple[float, ...]
    """Of each token under the sampling policy: at the sampling temperature, before any truncation."""
    stop: StopReason


@dataclass(frozen=True)
class GenerationFailure:
    """A response that the engine could not draw."""

    cause: str


Finished = Callable[[int, tuple[Generation | GenerationFailure, ...]], None]
"""Told of a request once all of its responses are there: its place among the requests, and they."""


class RolloutEngine(Protocol):
    """Samples responses of one model."""

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of a user message inside the chat template, ready to be answered."""
        ...

    def tokenize(self, text: str) -> tuple[int, ...]:
        """Token ids of bare text, without a chat template."""
        ...

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        decoding: DecodingConfig,
        finished: Finished | None = None,
    ) -> list[tuple[Generation | GenerationFailure, ...]]:
        """One tuple a request, one response a seed, both in the order asked.

        `finished` is told of each request once, in the calling thread, as early as the engine knows; it
        must return at once.
        """
        ...


@dataclass(frozen=True)
class TextRequest:
    """One user message, to be answered `len(seeds)` times."""

    id: str
    prompt: str
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Text:
    """One text as it was written."""

    text: str
    tokens: int
    """Drawn for it."""
    token_ids: tuple[int, ...] = ()
    """As drawn, where the model tells them."""
    truncated: bool = False
    """Cut off at the limit."""
    prompt_tokens: int = 0
    """Of its prompt, where that was read for this text; 0 where several texts share one reading, but for the
    first of them."""


class TextModel(Protocol):
    """Writes texts for texts: what responses, summaries, hints and verdicts are drawn from."""

    def write(
        self, requests: Sequence[TextRequest], max_tokens: int
    ) -> list[tuple[Text | GenerationFailure, ...]]:
        """One tuple a request, one text of at most `max_tokens` a seed, both in the order asked."""
        ...


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


@dataclass(frozen=True)
class Grade:
    """The verdict on one response."""

    outcome: Literal["correct", "wrong", "no_answer", "grader_error"]
    answer: str | None
    """Content of the last box, if any."""
    cause: str = ""
    """Of a grader error."""
    verdict: Verdict | None = None
    """The judge's, where it was asked."""


class Grader(Protocol):
    """Compares responses with gold answers."""

    def grade(self, responses: Sequence[tuple[Question, str]]) -> list[Grade]:
        """One grade a response, in order; each within the configured time."""
        ...


@dataclass(frozen=True)
class Visit:
    """One hard question in one round."""

    question: Question
    served: int
    """Teacher responses that earlier visits of this question took."""
    count: int
    """Responses wanted: `G_T`."""
    seed: int


@dataclass(frozen=True)
class TeacherAnswer:
    """What the teacher gave for one visit."""

    responses: tuple[TeacherResponse, ...]
    served: int
    """Unused responses taken from the pool."""
    drawn: int = 0
    """Drawn online."""
    reused: int = 0
    """Used by an earlier visit already."""
    tokens: int = 0
    """Sampled for this visit; what the pool holds was sampled before training."""


class Teacher(Protocol):
    """Answers hard questions; its responses reach the student in prompts only."""

    def respond(self, visits: Sequence[Visit]) -> list[TeacherAnswer]:
        """One answer a visit, in order, graded by the student's grader."""
        ...


@dataclass(frozen=True)
class Shortened:
    """What a compressor made of one response."""

    text: str | None
    """Ends in the boxed answer unchanged; None where shortening failed."""
    tokens: int = 0
    """Sampled for it."""


class Compressor(Protocol):
    """Shortens responses to candidates, teacher's and student's alike."""

    @property
    def kind(self) -> Compression:
        """How it shortens."""
        ...

    def compress(self, originals: Sequence[Original], seeds: Sequence[int]) -> list[Shortened]:
        """One result an original, in order."""
        ...


@dataclass(frozen=True)
class TrackedData:
    """A data set that a run reads."""

    name: str
    digest: str
    source: str
    """Where it came from, for a reader."""


@dataclass(frozen=True)
class TrackedRun:
    """A run as the tracking server shows it."""

    name: str
    key: str
    """Identifies the run among all that ever share the server; a resumed run has the same."""
    parameters: Mapping[str, str]
    data: tuple[TrackedData, ...] = ()


class Tracker(Protocol):
    """Shows runs to people. The store stays the truth: whatever is missing here can be sent again."""

    def start(self, run: TrackedRun) -> None:
        """Begin a run, or go on with the one of the same key."""
        ...

    def log_round(self, index: int, metrics: Mapping[str, float], at: datetime) -> None:
        """Metrics of a committed round; a round that is there already is left alone."""
        ...

    def log_evaluation(self, evaluation: Evaluation) -> None:
        """Accuracies of every model on every source; repeating it changes nothing."""
        ...

    def log_file(self, file: Path, folder: str = "") -> None:
        """Keep a copy of a file with the run, replacing one of the same name."""
        ...

    def finish(self, outcome: Literal["finished", "failed", "stopped"]) -> None:
        """End the run, or this process's part of it."""
        ...
