"""Where teacher responses come from: a model or an endpoint, reference solutions, a recorded file.

Every source is asked in the same way, and every response is graded by the student's grader afterwards.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from pydantic import BaseModel, ValidationError, model_validator

from schemas.question import Question
from schemas.teacher import PooledResponse
from zppo.core.answers import boxed, last_boxed
from zppo.errors import InputError
from zppo.ports import GenerationFailure, Grader, TextModel, TextRequest

SourceKind = Literal["model", "endpoint", "reference", "recorded"]


@dataclass(frozen=True)
class Ask:
    """One question for the teacher; as many responses are wanted as there are seeds."""

    question: Question
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Drawn:
    """One response, not graded yet."""

    text: str
    token_ids: tuple[int, ...] = ()
    """As the teacher's engine drew them; empty where no engine of this program drew it."""
    counted: int = 0
    """Tokens drawn, where they are counted but not seen."""
    truncated: bool = False
    """Cut off at the limit."""

    @property
    def tokens(self) -> int:
        """Drawn for it; 0 where it was not sampled for this run."""
        return len(self.token_ids) or self.counted


class ResponseSource(Protocol):
    """Gives teacher responses."""

    @property
    def kind(self) -> SourceKind:
        """What it is."""
        ...

    def draw(self, asks: Sequence[Ask]) -> list[tuple[Drawn | GenerationFailure, ...]]:
        """Responses to each question, in order; at most one a seed."""
        ...


class ModelSource:
    """Samples from a model, local or behind an endpoint, whose plain prompts come from its own templates."""

    def __init__(
        self,
        model: TextModel,
        render: Callable[[Question], str],
        max_tokens: int,
        kind: Literal["model", "endpoint"] = "model",
    ):
        """Keep the teacher's model.

        Args:
            model: Writes the responses.
            render: The teacher's plain prompt of a question.
            max_tokens: Of a response.
            kind: What the model is.
        """
        self.kind: SourceKind = kind
        self._model = model
        self._render = render
        self._max_tokens = max_tokens

    def draw(self, asks: Sequence[Ask]) -> list[tuple[Drawn | GenerationFailure, ...]]:
        """One response a seed."""
        requests = [TextRequest(ask.question.id, self._render(ask.question), ask.seeds) for ask in asks]
        return [
            tuple(
                each
                if isinstance(each, GenerationFailure)
                else Drawn(each.text, each.token_ids, each.tokens, each.truncated)
                for each in texts
            )
            for texts in self._model.write(requests, self._max_tokens)
        ]


class ReferenceSource:
    """The worked solutions that come with the data: one a question, or none."""

    kind: SourceKind = "reference"

    def draw(self, asks: Sequence[Ask]) -> list[tuple[Drawn | GenerationFailure, ...]]:
        """The solution of each question, whatever the number of seeds."""
        return [() if (text := reference_response(ask.question)) is None else (Drawn(text),) for ask in asks]


def reference_response(question: Question) -> str | None:
    """The reference solution; where it lacks a box, the gold answer is appended in one."""
    solution = question.reference_solution
    if solution is None or last_boxed(solution) is not None:
        return solution
    return f"{solution.rstrip()}\n{boxed(question.answer)}"


class _Record(BaseModel):
    """One line of a file of recorded responses; other fields are left alone."""

    question: str | None = None
    question_id: str | None = None
    response: str

    @model_validator(mode="after")
    def _names_its_question(self) -> "_Record":
        if self.question is None and self.question_id is None:
            raise ValueError("it has neither 'question' nor 'question_id'")
        return self


class RecordedSource:
    """Responses from a JSONL file, in the file's order; only their places are held in memory."""

    kind: SourceKind = "recorded"

    def __init__(self, path: Path):
        """Read the file once.

        Raises:
            InputError: No such file, or a line that is no record; with its number.
        """
        self._path = path
        self._places: Mapping[tuple[str, str], list[int]] = _index(path)

    def draw(self, asks: Sequence[Ask]) -> list[tuple[Drawn | GenerationFailure, ...]]:
        """The first recorded responses of each question, one a seed."""
        with self._path.open("rb") as file:
            drawn: list[tuple[Drawn | GenerationFailure, ...]] = []
            for ask in asks:
                places = self._of(ask.question)[: len(ask.seeds)]
                drawn.append(tuple(Drawn(_read_at(file.seek, file.readline, place)) for place in places))
            return drawn

    def _of(self, question: Question) -> list[int]:
        return self._places.get(("id", question.id)) or self._places.get(("text", question.text), [])


def grade_drawn(
    asks: Sequence[Ask], drawn: Sequence[Sequence[Drawn | GenerationFailure]], grader: Grader
) -> list[tuple[PooledResponse, ...]]:
    """The responses with their grades; one that the engine could not draw is an `engine_error`."""
    pairs = [
        (ask.question, response.text)
        for ask, responses in zip(asks, drawn, strict=True)
        for response in responses
        if isinstance(response, Drawn)
    ]
    grades = iter(grader.grade(pairs) if pairs else [])

    def pooled(index: int, response: Drawn | GenerationFailure) -> PooledResponse:
        if isinstance(response, GenerationFailure):
            return PooledResponse(
                index=index, text="", outcome="engine_error", answer=None, cause=response.cause
            )
        grade = next(grades)
        return PooledResponse(
            index=index,
            text=response.text,
            outcome=grade.outcome,
            answer=grade.answer,
            tokens=response.tokens,
            token_ids=response.token_ids,
            truncated=response.truncated,
            cause=grade.cause,
            verdict=grade.verdict,
        )

    return [tuple(pooled(i, response) for i, response in enumerate(responses)) for responses in drawn]


def _index(path: Path) -> dict[tuple[str, str], list[int]]:
    """Byte offsets of the lines about each question, by its id and by its text."""
    places: dict[tuple[str, str], list[int]] = {}
    offset = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    record = _parse(line, path, number)
                    for key in (("id", record.question_id), ("text", record.question)):
                        if key[1] is not None:
                            places.setdefault((key[0], key[1]), []).append(offset)
                offset += len(line)
    except OSError as error:
        raise InputError(f"recorded teacher responses: cannot read {path}: {error.strerror}") from None
    return places


def _parse(line: bytes, path: Path, number: int) -> _Record:
    try:
        return _Record.model_validate_json(line)
    except ValidationError as error:
        raise InputError(
            f"{path}, line {number}: expected a JSON object with 'response' and 'question' or 'question_id', "
            f"but {error.errors()[0]['msg']}"
        ) from None


def _read_at(seek: Callable[[int], int], readline: Callable[[], bytes], place: int) -> str:
    seek(place)
    response = json.loads(readline())["response"]
    assert isinstance(response, str)  # checked when the file was indexed
    return response
