"""What a report shows, as values; the page's script reads their JSON."""

from typing import Literal

from pydantic import Field

from schemas.base import Fraction, Frozen
from schemas.buffer import BufferEvent
from schemas.clipping import ClippedTokens
from schemas.rollout import Author, FailureOutcome, Outcome, PromptKind, Serving, Verdict

Level = Literal["problem", "notice", "fine", "unknown"]
"""Of a finding; `unknown`: the run does not record what the check needs, or not yet."""
Fate = Literal["graduated", "evicted", "waiting", "hard", "easy", "not drawn"]
"""`waiting`: in the buffer; `hard`, `easy`: never in it, and hard at some visit or at none."""


class Finding(Frozen):
    """The outcome of one check of a run."""

    level: Level
    title: str
    evidence: str
    """What was measured."""
    threshold: str
    """From where on it counts as a problem, or is worth a look."""


class Series(Frozen):
    """One line, or one layer, of a chart."""

    label: str
    values: tuple[float | None, ...]
    """As many as the chart has places; None where there is nothing to show."""


class Chart(Frozen):
    """Series over common places."""

    key: str = Field(pattern=r"^[a-z0-9-]+$")
    title: str
    note: str
    """How to read it, for somebody who knows the method's words."""
    x_label: str = "round"
    x: tuple[float, ...]
    series: tuple[Series, ...]
    style: Literal["lines", "stacked", "bars"] = "lines"
    """`stacked`: areas on top of one another; `bars`: columns, stacked too."""
    unit: Literal["share", "count", "seconds", "value"] = "value"


class Bar(Frozen):
    """An accuracy with its interval."""

    who: str
    accuracy: Fraction | None
    low: Fraction | None = None
    high: Fraction | None = None


class AccuracyRow(Frozen):
    """Several models on the same questions."""

    label: str
    questions: int | None
    bars: tuple[Bar, ...]


class Result(Frozen):
    """Whether a run worked."""

    sentence: str
    """The answer in one sentence."""
    rows: tuple[AccuracyRow, ...] = ()
    sources: tuple[AccuracyRow, ...] = ()
    """The same by source, and by kind of question within it."""
    notes: tuple[str, ...] = ()
    gates: tuple[str, ...] = ()
    """The conditions of promotion, with their figures."""


class Money(Frozen):
    """An amount of a currency."""

    amount: float
    currency: str


class CostRow(Frozen):
    """What one part of a run took; None where that is not recorded."""

    part: str
    tokens: int | None = None
    seconds: float | None = None
    money: tuple[Money, ...] = ()
    """One a currency; none where nothing of it has a price."""
    note: str = ""


class VisitSummary(Frozen):
    """One round in which a question was rolled out, in a line."""

    round: int
    accuracy: float | None
    replayed: bool
    kinds: tuple[PromptKind, ...]
    """Of the prompts besides the plain one."""


class QuestionSummary(Frozen):
    """A question in the table."""

    id: str
    source: str
    excerpt: str
    entry_accuracy: float | None
    """When it was first admitted to the buffer; None for one that never was."""
    fate: Fate
    visits: tuple[VisitSummary, ...]


class Segment(Frozen):
    """A piece of a prompt, and who wrote it; the marks are the reader's, the student sees none."""

    text: str
    author: Author | None = None
    correct: bool | None = None


class PromptDetail(Frozen):
    """A prompt as the student saw it."""

    kind: PromptKind
    segments: tuple[Segment, ...]
    tokens: int
    wrong_answers: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    """Of the candidates, in the order shown, or of the hint or the prefix."""
    forced_tokens: int = 0
    """Tokens that every response is forced to start with."""
    forced_text: str | None = None


class RolloutDetail(Frozen):
    """One response."""

    index: int
    outcome: Outcome | FailureOutcome
    reward: int | None
    answer: str | None
    advantage: float | None
    """None where it has none: in distillation, and for a failure."""
    text: str
    tokens: int
    pieces: tuple[str, ...] = ()
    """Text of each sampled token; empty where no tokenizer is at hand."""
    logprobs: tuple[float, ...] = ()
    """Of each sampled token, when it was sampled, to two decimals."""
    clipped: tuple[ClippedTokens, ...] = ()
    """Which of its tokens the update clipped; empty, too, where the round does not record it."""
    audit: str = ""
    """Whose answer it gives."""
    cause: str = ""
    """Of a failure."""
    verdict: Verdict | None = None


class GroupDetail(Frozen):
    """A prompt and the responses to it."""

    id: str
    accuracy: float | None
    prompt: PromptDetail
    rollouts: tuple[RolloutDetail, ...]


class TeacherDetail(Frozen):
    """A teacher response that a visit could use."""

    origin: str
    correct: bool
    answer: str | None
    text: str | None
    """None where the run keeps only what stands in a prompt."""
    summary: str | None = None
    hint: str | None = None
    served: Serving | None = None
    """As the next, None where that is not recorded."""
    teacher: str | None = None
    used: tuple[PromptKind, ...] = ()
    """The prompts of the visit that were made from it."""
    learned: bool = False
    """Whether the update drew the student towards it, as off-policy distillation does."""


class VisitDetail(Frozen):
    """One round in the life of a question, in full."""

    round: int
    replayed: bool
    accuracy: float | None
    teacher: tuple[TeacherDetail, ...]
    teacher_note: str
    """How many it gave, from where, and what is not shown."""
    groups: tuple[GroupDetail, ...]
    events: tuple[BufferEvent, ...]
    update_note: str
    """What is recorded of the update that learned from it."""


class QuestionDetail(Frozen):
    """A question's life."""

    id: str
    source: str
    kind: str
    text: str
    answer: str
    choices: tuple[str, ...]
    reference_solution: str | None
    fate: Fate
    entry_accuracy: float | None
    visits: tuple[VisitDetail, ...]
