"""The database on disk in which questions wait until their split is known.

It is scratch: nothing in it survives the stage, so it has no journal. Its page cache is the only memory
that grows with the data, and it is bounded.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from schemas.prepared import KindCount, RemovedQuestion
from schemas.question import Question, Split
from zppo.core.randomness import derive_seed
from zppo.data.rows import Entry, excerpt
from zppo.data.text import content_digest

_TABLES = """
CREATE TABLE question (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    key INTEGER NOT NULL UNIQUE,
    id TEXT NOT NULL, source TEXT NOT NULL, kind TEXT NOT NULL, split TEXT NOT NULL,
    cap INTEGER NOT NULL, draw INTEGER NOT NULL
);
CREATE TABLE payload (position INTEGER PRIMARY KEY, file TEXT, line INTEGER, question TEXT);
"""


@dataclass(frozen=True)
class Staged:
    """A question that is in the database."""

    position: int
    id: str
    source: str


@dataclass(frozen=True)
class Discarded:
    """Questions that a limit took out again."""

    count: int
    examples: tuple[RemovedQuestion, ...]


class Staging:
    """Questions in the order they came, with their two places in a seeded random order.

    No position is given twice, since the index of near duplicates keeps the shingles of questions that left.

    `cap` orders the questions of a source for its cap, `draw` all questions for the splits. They are
    separate hashes of seed and id: a capped source keeps its smallest `cap`, and were that `draw` as
    well, the test split would consist of capped sources.
    """

    def __init__(self, path: Path, seed: int, cache_bytes: int) -> None:
        self._seed = seed
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;"
            f"PRAGMA temp_store = FILE; PRAGMA cache_size = {-(cache_bytes // 1024)};" + _TABLES
        )
        self.connection.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()

    def find(self, content: str) -> Staged | None:
        """The question with the same content."""
        return self._staged("key", int(content_digest(content), 16))

    def at(self, position: int) -> Staged:
        """The question at a position."""
        staged = self._staged("position", position)
        assert staged is not None, position
        return staged

    def add(self, entry: Entry, split: Split) -> int:
        """Put a question in; returns its position."""
        question, key = entry.question, int(content_digest(entry.content), 16)
        cap, draw = (derive_seed(self._seed, purpose, question.id) for purpose in ("cap", "split"))
        position = self.connection.execute(
            "INSERT INTO question (key, id, source, kind, split, cap, draw) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (key, question.id, question.source, question.kind, split, cap, draw),
        ).lastrowid
        assert position is not None
        self.connection.execute(
            "INSERT INTO payload VALUES (?, ?, ?, ?)",
            (position, entry.place.file, entry.place.line, question.model_dump_json()),
        )
        return position

    def keep(
        self, source: str, split: Split, limit: int, order: Literal["cap", "draw"], examples: int
    ) -> Discarded:
        """Take out all but the first `limit` questions of a source's split in the given order."""
        self.connection.execute("CREATE TEMP TABLE IF NOT EXISTS gone (position INTEGER PRIMARY KEY)")
        self.connection.execute("DELETE FROM gone")
        self.connection.execute(
            "INSERT INTO gone SELECT position FROM question WHERE source = ? AND split = ? "
            f"ORDER BY {order}, id LIMIT -1 OFFSET ?",
            (source, split, limit),
        )
        count = self._count("SELECT count(*) FROM gone")
        shown = tuple(self._removed(f"over the limit of {limit:,}", examples))
        for table in ("question", "payload"):
            self.connection.execute(f"DELETE FROM {table} WHERE position IN (SELECT position FROM gone)")
        return Discarded(count, shown)

    def move(self, count: int, target: Split) -> None:
        """Move the first `count` training questions in drawing order to another split."""
        self.connection.execute(
            "UPDATE question SET split = ? WHERE position IN "
            "(SELECT position FROM question WHERE split = 'train' ORDER BY draw, id LIMIT ?)",
            (target, count),
        )

    def count(self, source: str, split: Split) -> int:
        """Questions of a source in a split."""
        return self._count("SELECT count(*) FROM question WHERE source = ? AND split = ?", source, split)

    def kinds(self, source: str) -> tuple[KindCount, ...]:
        """Questions of each kind in each split, by name of the kind."""
        counted = self.connection.execute(
            "SELECT kind, sum(split = 'train'), sum(split = 'validation'), sum(split = 'test') "
            "FROM question WHERE source = ? GROUP BY kind ORDER BY kind",
            (source,),
        )
        return tuple(
            KindCount(kind=kind, train=train, validation=validation, test=test)
            for kind, train, validation, test in counted
        )

    def questions(self, split: Split) -> Iterator[Question]:
        """The questions of a split in the order of their ids, which owes nothing to the order of the rows."""
        self.connection.execute("CREATE INDEX IF NOT EXISTS by_id ON question (split, id)")
        rows = self.connection.execute(
            "SELECT payload.question FROM question INDEXED BY by_id CROSS JOIN payload USING (position) "
            "WHERE split = ? ORDER BY id",
            (split,),
        )
        with closing(rows):
            for (text,) in rows:
                yield Question.model_validate_json(text)

    def _staged(self, column: str, value: int) -> Staged | None:
        row = self.connection.execute(
            f"SELECT position, id, source FROM question WHERE {column} = ?", (value,)
        ).fetchone()
        return None if row is None else Staged(*row)

    def _count(self, query: str, *values: str) -> int:
        (count,) = self.connection.execute(query, values).fetchone()
        return int(count)

    def _removed(self, detail: str, limit: int) -> Iterable[RemovedQuestion]:
        rows = self.connection.execute(
            "SELECT file, line, question FROM payload JOIN gone USING (position) ORDER BY position LIMIT ?",
            (limit,),
        )
        for file, line, text in rows:
            shown = excerpt(Question.model_validate_json(text).text)
            yield RemovedQuestion(file=file, line=line, detail=detail, excerpt=shown)
