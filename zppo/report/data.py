"""What a report shows, as tables for other programs: Parquet and CSV."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from zppo.core.metrics import round_metrics
from zppo.report.history import RunHistory
from zppo.report.table import question_summaries

Row = Mapping[str, object]


def write_data(history: RunHistory, directory: Path) -> list[Path]:
    """Write `rounds`, `questions`, `visits` and `buffer`, each as Parquet and CSV; returns the files.

    `rounds` has a column for each metric that the tracking server shows, null where a round lacks it.
    Tables without rows are left out.
    """
    directory.mkdir(parents=True, exist_ok=True)
    tables = {
        "rounds": list(_rounds(history)),
        "questions": list(_questions(history)),
        "visits": list(_visits(history)),
        "buffer": list(_buffer(history)),
    }
    return [file for name, rows in tables.items() if rows for file in _write(rows, directory / name)]


def _rounds(history: RunHistory) -> Iterator[Row]:
    rounds = [
        round_metrics(report, timings)
        for report, timings in zip(history.reports, history.timings, strict=True)
    ]
    names = sorted({name for metrics in rounds for name in metrics})
    for report, metrics in zip(history.reports, rounds, strict=True):
        yield {"round": report.round} | {name: metrics.get(name) for name in names}


def _questions(history: RunHistory) -> Iterator[Row]:
    for each in question_summaries(history):
        yield {
            "question_id": each.id,
            "source": each.source,
            "fate": each.fate,
            "entry_accuracy": each.entry_accuracy,
            "visits": len(each.visits),
        }


def _visits(history: RunHistory) -> Iterator[Row]:
    for id, visits in sorted(history.lives.visits.items()):
        for visit in visits:
            yield {
                "question_id": id,
                "round": visit.round,
                "accuracy": visit.accuracy,
                "replayed": visit.replayed,
                "prompts": " ".join(("plain", *visit.kinds)),
                "teacher_correct": visit.served.correct if visit.served else None,
            }


def _buffer(history: RunHistory) -> Iterator[Row]:
    for report in history.reports:
        for event in report.buffer.events:
            yield {"round": report.round, **event.model_dump()}


def _write(rows: list[Row], stem: Path) -> tuple[Path, Path]:
    table = pa.Table.from_pylist([dict(row) for row in rows])
    parquet, csv = (stem.with_name(f"{stem.name}.{suffix}") for suffix in ("parquet", "csv"))
    pq.write_table(table, parquet, compression="zstd")
    pa_csv.write_csv(table, csv)
    return parquet, csv
