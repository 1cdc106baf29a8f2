"""The responses of an evaluation as a Parquet file, one row each, and what they took."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.evaluation import AnsweringCost, EvaluationAnswer
from zppo.stores.artifacts import readable

ANSWERS, COST = "answers.parquet", "cost.json"
"""In an artifact of the stage `answers`; those of earlier programs have no `cost.json`."""

ANSWER_SCHEMA = pa.schema(
    [
        pa.field("question_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("in_distribution", pa.bool_(), nullable=False),
        pa.field("sample", pa.int32(), nullable=False),
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("answer", pa.string()),  # null without a box
        pa.field("tokens", pa.int32(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("verdict", pa.string()),  # null unless a judge gave one
    ]
)
"""The fields of `EvaluationAnswer`."""


def write_answers(directory: Path, answers: Sequence[EvaluationAnswer], cost: AnsweringCost) -> None:
    """Write the answers in their order, and what they took."""
    table = pa.Table.from_pylist([answer.model_dump() for answer in answers], schema=ANSWER_SCHEMA)
    pq.write_table(table, directory / ANSWERS, compression="zstd")
    (directory / COST).write_text(cost.model_dump_json())


def read_answers(file: Path) -> list[EvaluationAnswer]:
    """The answers that `write_answers` wrote.

    Raises:
        StoreError: A row does not fit this program's version.
    """
    rows = pq.read_table(file, schema=ANSWER_SCHEMA).to_pylist()
    with readable(file, "answers", EvaluationAnswer):
        return [EvaluationAnswer.model_validate(row) for row in rows]
