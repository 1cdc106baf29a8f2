"""Prepared questions on disk: Parquet, sorted by id, in small row groups.

Both orders of access need no index of their own. A position lies in the row group that the counts of the
file's footer tell, an id in the one whose least and greatest id enclose it; the footer is all that is in
memory, about 10 MB for ten million questions.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import accumulate
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.question import Question
from zppo.errors import StoreError
from zppo.stores.artifacts import readable

QUESTION_SCHEMA = pa.schema(
    [
        pa.field("schema_version", pa.int32(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("answer", pa.string(), nullable=False),
        pa.field("answer_kind", pa.string(), nullable=False),
        pa.field("choices", pa.list_(pa.string()), nullable=False),
        pa.field("reference_solution", pa.string()),
        pa.field("pass_rate", pa.float64()),
        pa.field("images", pa.list_(pa.string()), nullable=False),
    ]
)
"""One column for each field of `Question`, of the same name and meaning; absent values are null."""

GROUP_ROWS = 1024
GROUP_CHARACTERS = 8 << 20
"""A row group ends at so many rows or characters, whichever comes first."""
_CACHED_GROUPS = 16


def write_questions(path: Path, questions: Iterable[Question]) -> int:
    """Write questions, which must come in ascending order of their ids; returns how many."""
    count = 0
    with pq.ParquetWriter(path, QUESTION_SCHEMA, compression="zstd") as writer:
        for group in _groups(questions):
            writer.write_table(pa.Table.from_pylist([q.model_dump() for q in group], QUESTION_SCHEMA))
            count += len(group)
    return count


def read_questions(path: Path) -> Iterator[Question]:
    """All questions of a file in order, one row group in memory at a time.

    Raises:
        StoreError: The file is not there or is no table of questions.
    """
    table = QuestionTable(path)
    for position in range(len(table)):
        yield table[position]


class QuestionTable:
    """Random access to the questions of a file, by position and by id."""

    def __init__(self, path: Path) -> None:
        """Open a file that `write_questions` wrote.

        Raises:
            StoreError: The file is not there or is no table of questions.
        """
        try:
            self._file, self._path = pq.ParquetFile(path, memory_map=True), path
        except (OSError, pa.ArrowException) as error:
            raise StoreError(f"{path} is no table of questions: {error}; {_again(path)}") from error
        if self._file.schema_arrow.names != QUESTION_SCHEMA.names:
            raise StoreError(f"{path} has other columns than a table of questions; {_again(path)}")
        metadata = self._file.metadata
        groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
        id_column = QUESTION_SCHEMA.get_field_index("id")
        self._starts: list[int] = [0, *accumulate(group.num_rows for group in groups)]
        self._last_ids = [group.column(id_column).statistics.max for group in groups]
        self._group = lru_cache(_CACHED_GROUPS)(self._file.read_row_group)
        self._ids = lru_cache(_CACHED_GROUPS)(lambda group: self._group(group)["id"].to_pylist())

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, position: int) -> Question:
        """The question at a position in the order of ids; `IndexError` outside the table."""
        if not 0 <= position < len(self):
            raise IndexError(f"position {position} of a table of {len(self)} questions")
        index = bisect_right(self._starts, position) - 1
        return self._row(index, position - self._starts[index])

    def at(self, positions: Iterable[int]) -> list[Question]:
        """The questions at several positions, in the order asked."""
        return [self[position] for position in positions]

    def by_id(self, id: str) -> Question:
        """The question with an id.

        Raises:
            StoreError: It is not in the table.
        """
        index = bisect_left(self._last_ids, id)
        if index < len(self._last_ids):
            ids = self._ids(index)
            row = bisect_left(ids, id)
            if row < len(ids) and ids[row] == id:
                return self._row(index, row)
        raise StoreError(f"question {id!r} is not in the prepared data; it belongs to another data set")

    def _row(self, group: int, row: int) -> Question:
        with readable(self._path, "prepare", Question):
            return Question.model_validate(self._group(group).slice(row, 1).to_pylist()[0])


def _again(path: Path) -> str:
    return f"remove {path.parent} and run the same command again, which repeats the stage 'prepare'"


def _groups(questions: Iterable[Question]) -> Iterator[list[Question]]:
    group: list[Question] = []
    characters = 0
    for question in questions:
        group.append(question)
        characters += len(question.text) + len(question.reference_solution or "")
        if len(group) >= GROUP_ROWS or characters >= GROUP_CHARACTERS:
            yield group
            group, characters = [], 0
    if group:
        yield group
