"""The few values of the naive step."""

from dataclasses import dataclass, field

END = "<eos>"


@dataclass
class Response:
    """One graded rollout or teacher response."""

    origin: str
    index: int
    text: str
    answer: str | None
    reward: int
    drawn: list[str] = field(default_factory=list)
    """The words that were sampled, the end of sequence included."""
    hint: str | None = None


@dataclass
class NaiveGroup:
    """The rollouts of one prompt."""

    id: str
    question: str
    kind: str
    prompt: str
    shown: list[str] = field(default_factory=list)
    """Origins of the candidates, in order."""
    listed: list[str] = field(default_factory=list)
    hint: str | None = None
    prefix: list[str] = field(default_factory=list)
    origin: str = ""
    """Of a hint or a prefix."""
    rollouts: list[Response] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)

    @property
    def context(self) -> list[str]:
        """Every word before the first sampled one."""
        return ["<user>", *self.prompt.split(), "<assistant>", *self.prefix]


@dataclass
class NaiveRow:
    """What the learner is given of one response."""

    name: str
    context: list[str]
    response: list[str]
    number: float
    """Its advantage; in distillation its weight."""


Entry = tuple[str, int, float, int]
"""A buffered question: its name, round of admission, entry accuracy, visits."""
Event = tuple[str, str, float, float | None, int, int]
"""What happened, question, entry accuracy, accuracy, visits, round of admission."""


@dataclass
class NaiveStep:
    """Everything that a step decides."""

    replayed: list[str]
    groups: list[NaiveGroup]
    batches: list[list[NaiveRow]]
    """Of each update; empty without an update."""
    buffer: list[Entry]
    events: list[Event]
    served: dict[str, int]
    visited: list[str]
    """Questions that visited the teacher, in order."""
    eligible: dict[str, int]
    """By kind of prompt: hard questions that admit one."""
