"""Which tokens each update of a round clipped: `clipped.parquet`, beside the round's report.

A row is one rollout under one bound in one update. Rollouts of which nothing was clipped have none.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.clipping import ClippedTokens

CLIPPED = "clipped.parquet"
CLIPPED_SCHEMA = pa.schema(
    [
        pa.field("update", pa.int32(), nullable=False),  # from 0, among `StepReport.updates`
        pa.field("rollout", pa.string(), nullable=False),  # ClippedTokens.rollout
        pa.field("bound", pa.string(), nullable=False),
        pa.field("places", pa.list_(pa.int32()), nullable=False),
    ]
)


def write_clipped(file: Path, updates: Sequence[Sequence[ClippedTokens]]) -> None:
    """Write what each update of a round clipped."""
    rows = [(index, each) for index, update in enumerate(updates) for each in update]
    columns = [
        [index for index, _ in rows],
        [each.rollout for _, each in rows],
        [each.bound for _, each in rows],
        [each.places for _, each in rows],
    ]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, CLIPPED_SCHEMA, strict=True)]
    pq.write_table(pa.table(arrays, schema=CLIPPED_SCHEMA), file, compression="zstd")


def read_clipped(file: Path, rollouts: Collection[str]) -> Mapping[str, tuple[ClippedTokens, ...]]:
    """What was clipped of some rollouts, by their names; those of which nothing was are left out."""
    wanted = pc.field("rollout").isin(pa.array(list(rollouts), pa.string()))
    table = pq.read_table(file, columns=["rollout", "bound", "places"], filters=wanted)
    found: dict[str, tuple[ClippedTokens, ...]] = {}
    for row in table.to_pylist():
        each = ClippedTokens.model_validate(row)
        found[each.rollout] = (*found.get(each.rollout, ()), each)
    return found
