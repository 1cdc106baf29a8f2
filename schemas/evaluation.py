"""How well models answer held-out questions."""

from typing import Literal

from pydantic import Field

from schemas.base import Artifact, Fraction, Frozen, Sha256
from schemas.config.models import DecodingConfig
from schemas.rollout import FailureOutcome, Outcome, Verdict
from schemas.spend import EndpointSpend

Role = Literal["base", "student", "teacher"]


class EvaluationAnswer(Frozen):
    """One graded response to a held-out question."""

    question_id: str
    source: str
    kind: str
    in_distribution: bool
    """Whether the question comes from a source that the student trains on."""
    sample: int = Field(ge=0)
    outcome: Outcome | FailureOutcome
    answer: str | None
    """Content of the last box, if any."""
    tokens: int = Field(ge=0)
    """Length of the response."""
    text: str
    verdict: Verdict | None = None
    """The judge's, where it was asked."""

    @property
    def valid(self) -> bool:
        """Whether it counts: a failure says nothing about the model."""
        return self.outcome not in ("grader_error", "engine_error")


class AnsweringCost(Artifact):
    """What a model's answers to the test questions took; outside every identity."""

    seconds: float = Field(ge=0.0)
    """Of drawing and grading, over all sessions."""
    spend: EndpointSpend | None = None
    """At the teacher's endpoint, over all sessions, what a crash lost included; None for other models."""


class Interval(Frozen):
    """Percentile bootstrap interval, resampling questions."""

    low: float
    high: float


class Score(Frozen):
    """Accuracy on a set of questions."""

    questions: int
    """Questions with at least one valid response."""
    responses: int
    """Valid responses."""
    accuracy: Fraction | None
    """Mean over questions of the share of correct ones among their valid responses."""
    interval: Interval | None
    truncated: Fraction | None
    """Share of the valid responses that were cut off before their final answer."""
    no_answer: Fraction | None
    """Share of the valid responses without a parsable final answer, truncated ones included."""
    response_tokens: int
    """Sum over valid responses."""
    grader_errors: int
    engine_errors: int
    malformed_verdicts: int = 0
    """Responses that count as wrong because the judge's verdict could not be read."""


class SourceScore(Frozen):
    """Accuracy on one source, or on one kind of question within it."""

    source: str
    kind: str | None
    """None: all kinds together."""
    in_distribution: bool
    score: Score


class ModelScores(Frozen):
    """Everything about one model."""

    role: Role
    model: str
    """As the recipe or the store names it."""
    digest: str
    """What identifies the weights: `sha256:…` over the checkpoint's files, or `commit:…` of the hub; of a
    model behind an endpoint `endpoint:NAME@LABEL`, as the recipe names it."""
    in_distribution: Score
    """Over the test questions of all training sources."""
    out_of_distribution: Score
    """Over all questions of the evaluation-only sources."""
    sources: tuple[SourceScore, ...]


class BaselineScore(Frozen):
    """What always giving one answer is worth on one source."""

    source: str
    answer: str
    """The most common answer among the training questions."""
    accuracy: Fraction


class Evaluation(Artifact):
    """Models side by side, on the same questions with the same seeds."""

    data_fingerprint: Sha256
    """Of the prepared data set that the questions come from."""
    decoding: DecodingConfig
    samples: int
    """Responses asked for each question."""
    confidence: float
    """Level of all intervals."""
    bootstrap_resamples: int
    models: tuple[ModelScores, ...]
    baselines: tuple[BaselineScore, ...]

    def of_role(self, role: Role) -> ModelScores | None:
        """The scores of one model, None where it was not evaluated."""
        return next((model for model in self.models if model.role == role), None)
