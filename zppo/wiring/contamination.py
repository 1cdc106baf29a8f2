"""Test questions that a student may have learned from."""

import pyarrow.parquet as pq

from schemas.promotion import Contamination
from schemas.question import Split
from zppo.wiring.context import RunContext
from zppo.wiring.prepare import read_prepared


def find_contamination(run: RunContext, prepared: str) -> Contamination:
    """Look for test questions in the other splits, whose ids are digests of their content."""
    report = read_prepared(run.store, prepared)
    near = run.record.data.near_duplicates
    test = _ids(run, prepared, "test")
    learned = _ids(run, prepared, "train") | _ids(run, prepared, "validation")
    return Contamination(
        test_questions=len(test),
        in_training=len(test & learned),
        removed=sum(
            removal.count
            for source in report.sources
            for removal in source.removed
            if removal.rule == "contamination"
        ),
        near_threshold=near.threshold if near.enabled else None,
    )


def _ids(run: RunContext, prepared: str, split: Split) -> set[str]:
    file = pq.ParquetFile(run.store.file(prepared, f"{split}.parquet"))
    return {each for batch in file.iter_batches(columns=["id"]) for each in batch.column(0).to_pylist()}
