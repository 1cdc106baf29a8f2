"""Teacher responses drawn ahead of training, and the report on them."""

from typing import Literal

from pydantic import Field

from schemas.base import Artifact, Fraction, Frozen
from schemas.rollout import Verdict
from schemas.spend import EndpointSpend

PooledOutcome = Literal["correct", "wrong", "no_answer", "grader_error", "engine_error"]

HintOutcome = Literal["accepted", "reveals", "missing"]
"""`reveals`: it held the final answer or a box, and was rejected; `missing`: there was none inside the
tags, it was empty or too long."""


class PooledResponse(Frozen):
    """One teacher response to one question, graded by the student's grader."""

    index: int = Field(ge=0)
    """Place among the question's responses as drawn."""
    text: str
    outcome: PooledOutcome
    """An error keeps the response out of the pool; it is never a wrong answer."""
    answer: str | None
    """Content of the last box, if any."""
    tokens: int = Field(default=0, ge=0)
    """Tokens drawn; 0 where the response was not sampled for a run."""
    cause: str = ""
    """Of an error."""
    verdict: Verdict | None = None
    """The judge's; None where rules graded."""
    token_ids: tuple[int, ...] = ()
    """As drawn, in the teacher's vocabulary; empty where no engine of this program drew them."""
    truncated: bool = False
    """Cut off at the limit; not known, and false, before version 3 of the pool."""
    summary: str | None = None
    """The teacher's own short version of a correct response, where it writes them."""
    summary_tokens: int = Field(default=0, ge=0)
    """Tokens drawn for the summary, usable or not."""
    hint: str | None = None
    """The teacher's answer-free hint made from a correct response, where it writes them."""
    hint_outcome: HintOutcome | None = None
    """None where no hint was asked for."""
    hint_tokens: int = Field(default=0, ge=0)
    """Tokens drawn for the hint, accepted or not."""

    @property
    def tokens_drawn(self) -> int:
        """All that the teacher sampled for it."""
        return self.tokens + self.summary_tokens + self.hint_tokens


class AnsweredQuestion(Artifact):
    """All responses to one question: one line of the journal by which precomputation resumes."""

    question_id: str
    responses: tuple[PooledResponse, ...]
    seconds: float = Field(ge=0.0)
    """Share of its batch's time."""


class TeacherPool(Artifact):
    """What a precomputed pool holds."""

    schema_version: int = 2
    teacher: Literal["model", "endpoint", "reference", "recorded"]
    questions: int = Field(ge=0)
    """Questions that the teacher was asked."""
    covered: int = Field(ge=0)
    """Questions with at least one correct response."""
    coverage: Fraction
    """Their share."""
    responses: int = Field(ge=0)
    """Responses in the pool."""
    correct: int = Field(ge=0)
    failed: int = Field(ge=0)
    """Responses that could not be drawn or graded; they are not in the pool."""
    malformed_verdicts: int = Field(default=0, ge=0)
    """Responses that count as wrong because the judge's verdict could not be read."""
    summaries: int = Field(ge=0)
    hints: int = Field(default=0, ge=0)
    """Accepted ones."""
    hints_revealing: int = Field(default=0, ge=0)
    """Rejected because they held the final answer or a box."""
    hints_missing: int = Field(default=0, ge=0)
    """Empty, too long, or not inside the tags."""
    tokens: int = Field(ge=0)
    """Tokens drawn for responses and hints."""
    seconds: float = Field(ge=0.0)
    """Time of drawing, grading and compressing, over all sessions; says nothing about the content."""
    spend: EndpointSpend | None = None
    """At the teacher's endpoint, over all sessions, what a crash lost included."""
