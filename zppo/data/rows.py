"""What sources yield: a row, or why there is none."""

from collections.abc import Mapping
from dataclasses import dataclass

from schemas.question import Question

EXCERPT_CHARACTERS = 200


@dataclass(frozen=True)
class Place:
    """Where a row stands."""

    file: str
    """A file, a data set or a generator."""
    line: int
    """Line of a text file where the row starts, otherwise the row's number; both count from 1."""

    def __str__(self) -> str:
        return f"{self.file} line {self.line}"


@dataclass(frozen=True)
class Row:
    """One record of a data set, its fields as the user named them."""

    place: Place
    fields: Mapping[str, object]


@dataclass(frozen=True)
class BadRow:
    """Something that is no question; it goes into quarantine."""

    place: Place
    reason: str
    excerpt: str


@dataclass(frozen=True)
class Entry:
    """A question on its way through the rules."""

    place: Place
    question: Question
    content: str
    """What makes two questions the same: see `zppo.data.text.content`."""
    near_comparable: bool
    """Whether near duplicates are looked for: not among the questions of a generator."""


def excerpt(value: object) -> str:
    """The start of a text or of raw bytes, in characters that any file can hold."""
    if isinstance(value, bytes):
        start = value[: 4 * EXCERPT_CHARACTERS].decode("utf-8", "backslashreplace")
    else:
        start = value[:EXCERPT_CHARACTERS] if isinstance(value, str) else repr(value)
    return start[:EXCERPT_CHARACTERS].encode("utf-8", "backslashreplace").decode("utf-8")
