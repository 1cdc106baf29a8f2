"""The files of a round: `round.json` (prompts and groups) and `rollouts.parquet` (what was sampled).

Where the teacher was asked, `available.parquet` has what it gave, and off-policy distillation adds
`demonstrations.parquet` (what the teacher sampled).

One row of `rollouts.parquet` is one rollout or one failure, in the order of the groups, the rollouts of a
group before its failures. A row with a `cause` is a failure: it has no tokens, answer or reward.
"""

import itertools
import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import TypeAdapter

from schemas.rollout import (
    AvailableResponse,
    Demonstration,
    Failure,
    Group,
    Provenance,
    Rollout,
    Round,
    ServedResponses,
    Verdict,
)

ROUND, ROLLOUTS, DEMONSTRATIONS = "round.json", "rollouts.parquet", "demonstrations.parquet"
AVAILABLE = "available.parquet"

ROLLOUT_SCHEMA = pa.schema(
    [
        pa.field("group", pa.string(), nullable=False),  # Group.id
        pa.field("index", pa.int32(), nullable=False),  # place in the group as drawn
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("token_ids", pa.list_(pa.int32())),  # null for failures
        pa.field("logprobs", pa.list_(pa.float32())),  # null for failures; as long as token_ids
        pa.field("stop", pa.string()),  # null for failures
        pa.field("answer", pa.string()),  # null without a box
        pa.field("reward", pa.int8()),  # null for failures
        pa.field("cause", pa.string()),  # null for rollouts
        pa.field("verdict", pa.string()),  # null unless a judge gave one
    ]
)
DEMONSTRATION_SCHEMA = pa.schema(
    [
        pa.field("group_id", pa.string(), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("token_ids", pa.list_(pa.int32()), nullable=False),
    ]
)
AVAILABLE_SCHEMA = pa.schema(
    [
        pa.field("question_id", pa.string(), nullable=False),  # ServedResponses.question_id
        pa.field("origin", pa.string(), nullable=False),
        pa.field("correct", pa.bool_(), nullable=False),
        pa.field("answer", pa.string()),  # null without a box
        pa.field("text", pa.string()),  # null where the pool holds it
        pa.field("hint", pa.string()),
        pa.field("served", pa.string()),  # as the next two, null where its provenance is unknown
        pa.field("teacher", pa.string()),
        pa.field("revision", pa.string()),
    ]
)


def write_round(directory: Path, round_: Round) -> None:
    """Write the files into `directory`. The log-probabilities must be float32 values."""
    outline = round_.model_dump_json(
        exclude={
            "groups": {"__all__": {"rollouts", "failures"}},
            "teacher": {"__all__": {"responses"}},
            "demonstrations": True,
        }
    )
    (directory / ROUND).write_text(outline, encoding="utf-8")
    pq.write_table(_table(round_.groups), directory / ROLLOUTS, compression="zstd")
    if round_.demonstrations:
        table = _demonstration_table(round_.demonstrations)
        pq.write_table(table, directory / DEMONSTRATIONS, compression="zstd")
    if any(visit.responses for visit in round_.teacher):
        pq.write_table(_available_table(round_.teacher), directory / AVAILABLE, compression="zstd")


def read_round(directory: Path) -> Round:
    """The round that `write_round` wrote, equal in every bit."""
    outline = json.loads((directory / ROUND).read_bytes())
    groups = {group["id"]: group | {"rollouts": [], "failures": []} for group in outline["groups"]}
    for row in _rows(pq.read_table(directory / ROLLOUTS, schema=ROLLOUT_SCHEMA)):
        group = groups[row.pop("group")]
        if row["cause"] is None:
            group["rollouts"].append({key: row[key] for key in Rollout.model_fields})
        else:
            group["failures"].append({key: row[key] for key in Failure.model_fields})
    available = read_available(directory / AVAILABLE)
    outline["teacher"] = [
        visit | {"responses": available.get(visit["question_id"], ())} for visit in outline["teacher"]
    ]
    demonstrations = _demonstrations(directory / DEMONSTRATIONS)
    return Round.model_validate(outline | {"groups": list(groups.values()), "demonstrations": demonstrations})


def read_served(file: Path) -> tuple[ServedResponses, ...]:
    """What a round's `ROUND` file records of the teacher; the rollouts are not read."""
    served = json.loads(file.read_bytes())["teacher"]
    return TypeAdapter(tuple[ServedResponses, ...]).validate_python(served)


def read_available(
    file: Path, questions: Collection[str] | None = None
) -> dict[str, tuple[AvailableResponse, ...]]:
    """The teacher's responses in a round's `AVAILABLE` file by question: of some, or of all of them.

    There is none where the teacher gave nothing, and in rounds of earlier programs.
    """
    if not file.exists():
        return {}
    some = None if questions is None else pc.field("question_id").isin(pa.array(list(questions), pa.string()))
    found: dict[str, tuple[AvailableResponse, ...]] = {}
    for row in pq.read_table(file, schema=AVAILABLE_SCHEMA, filters=some).to_pylist():
        question = row.pop("question_id")
        source = {name: row.pop(name) for name in Provenance.model_fields}
        each = row | {"provenance": source if source["served"] else None}
        found[question] = (*found.get(question, ()), AvailableResponse.model_validate(each))
    return found


def read_demonstrated(file: Path, groups: Collection[str]) -> frozenset[str]:
    """The origins of the teacher responses in a round's `DEMONSTRATIONS` file that answer some groups."""
    some = pc.field("group_id").isin(pa.array(list(groups), pa.string()))
    return frozenset(pq.read_table(file, columns=["origin"], filters=some)["origin"].to_pylist())


def read_verdicts(directory: Path) -> Iterator[tuple[str, str, Verdict]]:
    """The question id, the text and the verdict of each rollout that a judge saw; nothing else is read."""
    if "verdict" not in pq.read_schema(directory / ROLLOUTS).names:
        return
    columns = ["group", "text", "verdict"]
    table = pq.read_table(directory / ROLLOUTS, columns=columns, filters=pc.field("verdict").is_valid())
    if not table.num_rows:
        return
    outline = json.loads((directory / ROUND).read_bytes())
    questions = {group["id"]: group["question_id"] for group in outline["groups"]}
    for group, text, verdict in zip(*(table[name].to_pylist() for name in columns), strict=True):
        yield questions[group], text, verdict


def _table(groups: Sequence[Group]) -> pa.Table:
    rows = [(group.id, row) for group in groups for row in (*group.rollouts, *group.failures)]
    columns = {
        "group": [group for group, _ in rows],
        **{name: [getattr(row, name, None) for _, row in rows] for name in _SCALARS},
        "token_ids": _lists([getattr(row, "token_ids", None) for _, row in rows], np.int32),
        "logprobs": _lists([getattr(row, "logprobs", None) for _, row in rows], np.float32),
    }
    return pa.table([columns[name] for name in ROLLOUT_SCHEMA.names], schema=ROLLOUT_SCHEMA)


_SCALARS = ("index", "outcome", "text", "stop", "answer", "reward", "cause", "verdict")


def _demonstration_table(demonstrations: Sequence[Demonstration]) -> pa.Table:
    columns = [
        [each.group_id for each in demonstrations],
        [each.origin for each in demonstrations],
        _lists([each.token_ids for each in demonstrations], np.int32),
    ]
    return pa.table(columns, schema=DEMONSTRATION_SCHEMA)


def _available_table(visits: Sequence[ServedResponses]) -> pa.Table:
    rows = [
        {"question_id": visit.question_id}
        | each.model_dump(exclude={"provenance"})
        | (each.provenance.model_dump() if each.provenance else {})
        for visit in visits
        for each in visit.responses
    ]
    return pa.Table.from_pylist(rows, AVAILABLE_SCHEMA)


def _demonstrations(file: Path) -> list[dict[str, Any]]:
    """Those of a round; one without any has no such file."""
    return pq.read_table(file, schema=DEMONSTRATION_SCHEMA).to_pylist() if file.exists() else []


def _lists(values: Sequence[Sequence[float] | None], dtype: type[np.generic]) -> pa.ListArray:
    """A list column, through one flat array: fast, and exact or an assertion."""
    exact = np.array([item for value in values if value is not None for item in value])
    flat = exact.astype(dtype)
    assert np.array_equal(flat, exact), f"every number must be a {dtype.__name__} value"
    lengths = [0 if value is None else len(value) for value in values]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    missing = pa.array([value is None for value in values], pa.bool_())
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat), mask=missing)


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    """The rows as dictionaries; the lists go through one flat array, which is several times faster."""
    columns = {name: table[name].to_pylist() for name in ("group", *_SCALARS)}
    columns |= {name: _unlist(table[name].combine_chunks()) for name in ("token_ids", "logprobs")}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _unlist(column: pa.ListArray) -> list[list[float]]:
    offsets = column.offsets.to_pylist()
    flat = column.values.to_numpy().tolist()
    return [flat[start:end] for start, end in itertools.pairwise(offsets)]
