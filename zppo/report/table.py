"""The table of all questions, packed so that one file has room for those of a large data set."""

import json
import zlib
from base64 import b64encode
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from zppo.report.history import Heading, RunHistory
from zppo.report.model import QuestionSummary, VisitSummary
from zppo.report.page import compact

TABLE_BYTES = 3_100_000
"""Of the packed table. Excerpts become shorter, and then rows are left out, to stay below."""
TABLE_TEXT_BYTES = TABLE_BYTES * 4 // 3 + 100
"""The same as text."""
_EXCERPTS = (Heading.LENGTH, 120, 60, 30, 0)
"""Lengths to try, in characters."""
_END_BYTES = 100
"""What closes the packed table."""
_BLOCK_ROWS = 500
"""After so many rows the packed size is looked at."""


@dataclass(frozen=True)
class PackedTable:
    """A table as the page's script unpacks it."""

    content: str
    """A JSON string: base64 of gzip of JSON."""
    left_out: int
    """Rows that had no place."""


def question_summaries(history: RunHistory) -> list[QuestionSummary]:
    """All training questions: those rolled out most often first, those not drawn yet last."""
    lives, tau = history.lives, history.record.recipe.method.tau
    found = [
        QuestionSummary(
            id=question.id,
            source=question.source,
            excerpt=question.excerpt,
            entry_accuracy=lives.entry_accuracy(question.id),
            fate=lives.fate(question.id, tau),
            visits=tuple(
                VisitSummary(round=v.round, accuracy=v.accuracy, replayed=v.replayed, kinds=v.kinds)
                for v in lives.visits.get(question.id, ())
            ),
        )
        for question in history.headings
    ]
    return sorted(found, key=lambda question: (-len(question.visits), question.id))


def question_table(questions: Sequence[QuestionSummary], full: Container[str]) -> PackedTable:
    """The table with the longest excerpts that leave room for all rows.

    Args:
        questions: In their order; those with full text come first in the table.
        full: Ids of those with full text.
    """
    ordered = sorted(questions, key=lambda question: question.id not in full)
    for excerpt in _EXCERPTS:
        packed, rows = _packed(ordered, full, excerpt)
        if rows == len(questions):
            break
    return PackedTable(json.dumps(b64encode(packed).decode()), len(questions) - rows)


def _packed(questions: Sequence[QuestionSummary], full: Container[str], excerpt: int) -> tuple[bytes, int]:
    """As many rows as there is room for, and their number."""
    sources = sorted({question.source for question in questions})
    fates = sorted({question.fate for question in questions})
    kinds = sorted({kind for question in questions for visit in question.visits for kind in visit.kinds})

    def row(each: QuestionSummary) -> str:
        visits = [
            [visit.round, _rounded(visit.accuracy), [kinds.index(kind) for kind in visit.kinds]]
            for visit in each.visits
        ]
        return compact(
            [
                each.id, sources.index(each.source), each.excerpt[:excerpt], _rounded(each.entry_accuracy),
                fates.index(each.fate), visits, int(each.id in full),
            ]
        )  # fmt: skip

    head = compact({"sources": sources, "fates": fates, "kinds": kinds})[:-1]
    packer = zlib.compressobj(wbits=31)  # gzip, without a time stamp
    packed, rows = packer.compress(f'{head},"rows":['.encode()), 0
    for block in _blocks(map(row, questions)):
        text = ("," if rows else "") + ",".join(block)
        grown = packer.copy()
        more = grown.compress(text.encode()) + grown.flush(zlib.Z_SYNC_FLUSH)
        if len(packed) + len(more) > TABLE_BYTES - _END_BYTES:
            break
        packer, packed, rows = grown, packed + more, rows + len(block)
    return packed + packer.compress(b"]}") + packer.flush(), rows


def _blocks(rows: Iterator[str]) -> Iterator[list[str]]:
    while block := list(islice(rows, _BLOCK_ROWS)):
        yield block


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
