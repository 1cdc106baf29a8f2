"""From a row to a question: field mapping, answer extraction, and what makes a row bad."""

import json
import math
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass, field

from schemas.config.data import FieldMapping, PocketSource, ReasoningGymSource, SourceConfig
from schemas.question import AnswerKind, Question
from zppo.data.rows import BadRow, Entry, Row, excerpt
from zppo.data.text import content, content_digest

MAX_KIND_CHARACTERS = 100
_THOUSANDS = re.compile(r"([-+]?\D?\d{1,3})((?:,\d{3})+)(\.\d+)?")


@dataclass(frozen=True)
class Reading:
    """How the rows of one source are read."""

    source: str
    fields: FieldMapping = field(default_factory=FieldMapping)
    answer_kind: AnswerKind = "math"
    answer_pattern: str | None = None
    question_template: str = "{question}"
    solution_template: str | None = None
    generated: bool = False


def reading_of(source: SourceConfig) -> Reading:
    """The reading that a source's configuration asks for."""
    if isinstance(source, PocketSource):
        fields = FieldMapping(question="text", reference_solution="reference_solution", kind="kind")
        return Reading(source.name, fields, "numeric", generated=True)
    if isinstance(source, ReasoningGymSource):
        return Reading(
            source.name,
            answer_kind=source.answer_kind,
            question_template=source.question_template,
            solution_template=source.solution_template,
            generated=True,
        )
    return Reading(
        source.name, source.fields, source.answer_kind, source.answer_pattern, source.question_template
    )


class _Unusable(ValueError):
    """A field is not what it must be."""

    def __init__(self, reason: str, value: object = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.value = value


def read_entry(row: Row, reading: Reading, max_text_characters: int) -> Entry | BadRow:
    """The question that a row holds, or why it holds none."""
    try:
        return _entry(row, reading, max_text_characters)
    except _Unusable as error:
        return BadRow(row.place, error.reason, excerpt(error.value))


def _entry(row: Row, reading: Reading, limit: int) -> Entry:
    fields = reading.fields
    bare = _required(row, fields.question, limit)
    answer_field = _number_as_text(row, fields.answer)
    whole = _required(answer_field, fields.answer, limit)
    answer = _extract(whole, reading)
    choices = _choices(row, fields.choices, limit)
    if reading.answer_kind == "choice" and choices:
        answer = _letter(answer, choices)
    solution = _optional(row, fields.reference_solution, limit)
    if fields.reference_solution is None and reading.answer_pattern is not None:
        solution = whole
    if reading.solution_template is not None:
        solution = reading.solution_template.replace("{answer}", answer)
    _refuse_images(row, fields.images)
    same = content(bare, choices)
    question = Question(
        id=f"{reading.source}-{content_digest(same)}",
        source=reading.source,
        kind=_kind(row, fields.kind),
        text=reading.question_template.replace("{question}", with_options(bare, choices)),
        answer=answer,
        answer_kind=reading.answer_kind,
        choices=choices,
        reference_solution=solution,
        pass_rate=_pass_rate(row, fields.pass_rate),
    )
    return Entry(row.place, question, same, near_comparable=not reading.generated)


def with_options(text: str, choices: Sequence[str]) -> str:
    """The question with its options below, lettered: `A. …`."""
    options = (f"{letter}. {choice}" for letter, choice in zip(string.ascii_uppercase, choices, strict=False))
    return "\n".join((text, *options))


def plain_number(answer: str) -> str:
    """`1,234` and `$1,234.50` without their thousands separators; every other text as it is.

    Only a whole answer in groups of three digits is taken for one number.
    """
    if not _THOUSANDS.fullmatch(answer):
        return answer
    return answer.replace(",", "")


def _required(row: Row, name: str, limit: int) -> str:
    text = _optional(row, name, limit)
    if text is None:
        raise _Unusable(f"field {name!r} is empty")
    return text


def _optional(row: Row, name: str | None, limit: int) -> str | None:
    if name is None:
        return None
    if name not in row.fields:
        present = ", ".join(sorted(map(repr, row.fields))[:20])
        raise _Unusable(f"field {name!r} is missing; the row has {present or 'no field'}", dict(row.fields))
    value = row.fields[name]
    return None if value is None else _text(value, name, limit)


def _text(value: object, name: str, limit: int) -> str | None:
    """Clean text without white space around it, None where nothing is left."""
    if not isinstance(value, str):
        raise _Unusable(f"field {name!r}: expected text, got {type(value).__name__}", value)
    if len(value) > limit:
        raise _Unusable(f"field {name!r} has {len(value):,} characters, more than {limit:,}", value)
    if "\x00" in value:
        raise _Unusable(f"field {name!r} holds a NUL character", value)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _Unusable(f"field {name!r} holds half of a surrogate pair", value) from None
    return value.strip() or None


def _number_as_text(row: Row, name: str) -> Row:
    """The row with a numeric answer as text; true and false are no numbers."""
    value = row.fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return row
    if not math.isfinite(value):
        raise _Unusable(f"field {name!r} is not a finite number", value)
    return Row(row.place, {**row.fields, name: str(value)})


def _extract(whole: str, reading: Reading) -> str:
    if reading.answer_pattern is None:
        return plain_number(whole) if reading.answer_kind == "numeric" else whole
    matches = list(re.finditer(reading.answer_pattern, whole))
    answer = (matches[-1].group(1) or "").strip() if matches else ""
    if not answer:
        raise _Unusable(f"no answer matches {reading.answer_pattern!r}", whole)
    return plain_number(answer) if reading.answer_kind in ("numeric", "math") else answer


def _choices(row: Row, name: str | None, limit: int) -> tuple[str, ...]:
    if name is None:
        return ()
    value = row.fields.get(name)
    if isinstance(value, str):
        value = _json_list(value, name)
    if not isinstance(value, list) or not 2 <= len(value) <= len(string.ascii_uppercase):
        raise _Unusable(f"field {name!r}: expected a list of 2 to 26 options", value)
    options = tuple(_text(option, name, limit) for option in value)
    if not all(options) or len(set(options)) < len(options):
        raise _Unusable(f"field {name!r}: an option is empty or stands twice", value)
    return tuple(option for option in options if option)


def _json_list(value: str, name: str) -> object:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise _Unusable(f"field {name!r}: expected options as a JSON list", value) from None


def _letter(answer: str, choices: Sequence[str]) -> str:
    """The letter of the option that the answer names by its text or by its letter."""
    letters = string.ascii_uppercase[: len(choices)]
    if answer in choices:
        return letters[choices.index(answer)]
    letter = answer.strip("().: ").upper()
    if len(letter) != 1 or letter not in letters:
        raise _Unusable(
            f"the answer is neither a letter of A to {letters[-1]} nor the text of an option", answer
        )
    return letter


def _kind(row: Row, name: str | None) -> str:
    return _optional(row, name, MAX_KIND_CHARACTERS) or "all"


def _pass_rate(row: Row, name: str | None) -> float | None:
    value = None if name is None else row.fields.get(name)
    if value is None or value == "":
        return None
    try:
        rate = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        rate = math.nan
    if not 0.0 <= rate <= 1.0:
        raise _Unusable(f"field {name!r}: expected a number in 0..1", value)
    return rate


def _refuse_images(row: Row, name: str | None) -> None:
    if name is not None and row.fields.get(name) not in (None, "", [], ()):
        raise _Unusable(
            "the question has images, and the engine reads text only: leave the row out, or map no images",
            row.fields[name],
        )
