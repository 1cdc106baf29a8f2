"""The precomputed teacher responses: a Parquet file, read lazily by question."""

from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from itertools import groupby, islice
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.teacher import AnsweredQuestion, PooledResponse
from zppo.core.values import TeacherResponse
from zppo.errors import StoreError

RESPONSES = "responses.parquet"
POOL_SCHEMA = pa.schema(
    [
        pa.field("question_id", pa.string(), nullable=False),
        pa.field("index", pa.int32(), nullable=False),  # place among the responses as drawn
        pa.field("outcome", pa.string(), nullable=False),  # correct, wrong or no_answer
        pa.field("text", pa.string(), nullable=False),
        pa.field("answer", pa.string()),  # null without a box
        pa.field("tokens", pa.int32(), nullable=False),
        pa.field("token_ids", pa.list_(pa.int32()), nullable=False),  # in the teacher's vocabulary
        pa.field("summary", pa.string()),  # null unless the teacher wrote one
        pa.field("summary_tokens", pa.int32(), nullable=False),
        pa.field("hint", pa.string()),  # null unless the teacher wrote one that gives nothing away
        pa.field("hint_outcome", pa.string()),  # null unless a hint was asked for
        pa.field("hint_tokens", pa.int32(), nullable=False),
        pa.field("truncated", pa.bool_(), nullable=False),  # cut off at the limit
    ]
)
_ADDED: dict[str, Any] = {
    "token_ids": (),
    "summary_tokens": 0,
    "hint": None,
    "hint_outcome": None,
    "hint_tokens": 0,
    "truncated": False,
}
"""What the columns read as that earlier versions' files lack."""
_SERVED = ("index", "outcome", "text", "answer", "summary", "hint", "token_ids")
"""Columns of which a teacher response is made."""
_ROW_GROUP_QUESTIONS = 16
"""Questions read together: small enough for random access, large enough to compress."""
_FEWEST_KEPT = 8
_BYTES_KEPT = 32 << 20
"""Of row groups that stay in memory, where the fewest are not more."""


def write_pool(path: Path, answered: Iterable[AnsweredQuestion]) -> None:
    """Write the valid responses, in order, one question after the other; streams."""
    questions = iter(answered)
    with pq.ParquetWriter(path, POOL_SCHEMA, compression="zstd") as writer:
        while part := list(islice(questions, _ROW_GROUP_QUESTIONS)):
            rows = [_row(each.question_id, response) for each in part for response in valid(each)]
            if rows:
                writer.write_table(pa.Table.from_pylist(rows, POOL_SCHEMA))


def valid(answered: AnsweredQuestion) -> list[PooledResponse]:
    """The responses that were drawn and graded."""
    return [response for response in answered.responses if not response.outcome.endswith("_error")]


class PoolTable:
    """Responses by question id; threads may share it.

    Holds the ids in memory; texts are read a row group at a time.
    """

    def __init__(self, path: Path) -> None:
        """Read the ids.

        Raises:
            StoreError: The file is missing or is no pool.
        """
        try:
            self._file = pq.ParquetFile(path)
            columns = [name for name in self._file.schema_arrow.names if name in _SERVED]
            read = partial(self._file.read_row_group, columns=columns)
            self._places, kept = _places(self._file), _kept(self._file.metadata, read)
        except (OSError, pa.ArrowException) as error:
            raise StoreError(f"cannot read the teacher pool {path}: {error}") from error
        if missing := set(POOL_SCHEMA.names) - set(self._file.schema_arrow.names) - _ADDED.keys():
            raise StoreError(
                f"the file {path} is no teacher pool: it lacks {', '.join(sorted(missing))}; remove its "
                "directory to ask the teacher again"
            )
        self._row_group = lru_cache(kept)(read)
        self._lock = Lock()

    def __len__(self) -> int:
        """Questions with at least one response."""
        return len(self._places)

    def responses(
        self, question_id: str, first: int = 0, count: int | None = None
    ) -> tuple[TeacherResponse, ...]:
        """Responses to a question in the order drawn; empty for one that is not in the pool.

        Args:
            question_id: Of the question.
            first: How many to pass over.
            count: How many at most; None for all that follow.
        """
        if (place := self._places.get(question_id)) is None:
            return ()
        size = max(0, place.size - first)
        with self._lock:
            rows = (
                self._row_group(place.group)
                .slice(place.start + first, size if count is None else min(count, size))
                .to_pylist()
            )
        return tuple(
            TeacherResponse(
                origin=f"pool/{question_id}#{row['index']}",
                text=row["text"],
                answer=row["answer"],
                correct=row["outcome"] == "correct",
                summary=row["summary"],
                hint=row["hint"],
                token_ids=tuple(row["token_ids"]),
            )
            for row in (_ADDED | row for row in rows)
        )


def _kept(metadata: pq.FileMetaData, read: Callable[[int], pa.Table]) -> int:
    """How many row groups may stay in memory, where they take more than their encoded bytes in the file."""
    groups = range(metadata.num_row_groups)
    if not groups:
        return _FEWEST_KEPT
    size: int = read(max(groups, key=lambda group: metadata.row_group(group).total_byte_size)).nbytes
    return max(_FEWEST_KEPT, _BYTES_KEPT // max(1, size))


class _Place(NamedTuple):
    """Where the responses to one question lie."""

    group: int
    start: int
    size: int


def _row(question_id: str, response: PooledResponse) -> dict[str, str | int | tuple[int, ...] | None]:
    return {"question_id": question_id, **response.model_dump(exclude={"cause"})}


def _places(file: pq.ParquetFile) -> dict[str, _Place]:
    """The rows of each question; they follow one another, and no question is split between row groups."""
    places = {}
    for group in range(file.num_row_groups):
        ids = file.read_row_group(group, columns=["question_id"])["question_id"].to_pylist()
        start = 0
        for question_id, rows in groupby(ids):
            places[question_id] = _Place(group, start, len(list(rows)))
            start += places[question_id].size
    return places
