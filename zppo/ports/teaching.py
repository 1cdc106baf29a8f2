"""What a round asks about responses: grades, teacher responses, candidates."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from schemas.question import Question
from schemas.rollout import Compression, Verdict
from zppo.core.values import Original, TeacherResponse


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
