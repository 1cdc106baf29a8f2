"""The figures of the report as files: CSV to read anywhere, Parquet to read with types."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

from schemas.config.claims import ClaimMeasure
from schemas.study import StudyRun
from zppo.core.study.differences import Difference
from zppo.core.study.estimates import Estimate
from zppo.core.study.measures import entry_accuracies, graduation, measure
from zppo.core.study.records import Cell, cell_of
from zppo.study.report.opening import BASE_TITLE, base_estimates, over_seeds
from zppo.study.report.view import View

Value = str | int | float | None
Record = dict[str, Value]

MEASURES: tuple[ClaimMeasure, ...] = get_args(ClaimMeasure)


def write_files(view: View, differences: Sequence[Difference], directory: Path) -> None:
    """Write `runs` and `curves` as CSV and Parquet, `summary.csv` and `differences.csv`."""
    for name, records in (("runs", list(run_records(view))), ("curves", list(curve_records(view)))):
        _write_csv(directory / f"{name}.csv", records)
        _write_parquet(directory / f"{name}.parquet", records)
    _write_csv(directory / "summary.csv", list(summary_records(view)))
    _write_csv(directory / "differences.csv", [_difference_record(view, each) for each in differences])


def run_records(view: View) -> Iterator[Record]:
    """One a run, with every scalar measure; the measures are those of `zppo.core.study.measures`."""
    runs = view.records.ordered()
    accuracies = entry_accuracies(runs)
    for run in runs:
        start = run.curve[0]
        yield {
            **_place(view, run),
            "rounds": run.curve[-1].round,
            "base_accuracy": start.accuracy,
            "base_out_of_distribution": start.out_of_distribution,
            **{name: measure(run, name) for name in MEASURES},
            **{f"graduation_at_{accuracy:g}": graduation(run, accuracy) for accuracy in accuracies},
        }


def curve_records(view: View) -> Iterator[Record]:
    """One a checkpoint of a run, the base student included."""
    for run in view.records.ordered():
        for point in run.curve:
            yield {**_place(view, run), **point.model_dump()}


def summary_records(view: View) -> Iterator[Record]:
    """The main table: means over seeds with their intervals."""
    for cell in view.records.cells:
        inside, outside = base_estimates(view, cell)
        yield {
            "variant": BASE_TITLE,
            **_factors(view, cell),
            "seeds": len(view.records.base(cell)),
            **_estimate("accuracy", inside),
            **_estimate("out_of_distribution", outside),
            **dict.fromkeys(_COSTS),
        }
        for variant, runs in view.present(cell):
            costs = {name: over_seeds(view, runs, name) for name in _COSTS}
            yield {
                "variant": variant.name,
                **_factors(view, cell),
                "seeds": len(runs),
                **_estimate("accuracy", over_seeds(view, runs, "accuracy")),
                **_estimate("out_of_distribution", over_seeds(view, runs, "out_of_distribution")),
                **{name: cost.mean if cost else None for name, cost in costs.items()},
            }


_COSTS: tuple[ClaimMeasure, ...] = (
    "rollouts",
    "student_tokens",
    "teacher_tokens",
    "seconds",
    "teacher_accuracy",
)


def _difference_record(view: View, found: Difference) -> Record:
    estimate = found.contrast.estimate
    return {
        "better": found.comparison.better,
        "baseline": found.comparison.baseline,
        **_factors(view, found.cell),
        "axis": found.axis,
        "amount": found.amount,
        "measure": found.measure,
        **_estimate("difference", estimate),
        "pairs": estimate.count if estimate else 0,
        "positive": estimate.positive if estimate else 0,
        "unpaired_seeds": found.contrast.dropped,
        "excludes_zero": str(bool(estimate and (estimate.above_zero or estimate.below_zero))).lower(),
    }


def _place(view: View, run: StudyRun) -> Record:
    place: Record = {"run": run.run, "variant": run.variant, "method": run.method}
    return {**place, **_factors(view, cell_of(view.study, run)), "seed": run.seed}


def _factors(view: View, cell: Cell) -> Record:
    return {factor.key: value for factor, value in zip(view.study.factors, cell, strict=True)}


def _estimate(name: str, value: Estimate | None) -> Record:
    interval = value.interval if value else None
    return {
        name: value.mean if value else None,
        f"{name}_low": interval.low if interval else None,
        f"{name}_high": interval.high if interval else None,
    }


def _write_csv(path: Path, records: Sequence[Record]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        if records:
            writer = csv.DictWriter(file, fieldnames=list(records[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(records)


def _write_parquet(path: Path, records: Sequence[Record]) -> None:
    """Columns of words, of whole numbers, and of floats; a column without any value counts as floats."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {str: pa.string(), int: pa.int64(), float: pa.float64(), type(None): pa.float64()}

    def column_type(name: str) -> pa.DataType:
        return types[next((type(row[name]) for row in records if row[name] is not None), type(None))]

    schema = pa.schema([(name, column_type(name)) for name in records[0]])
    pq.write_table(pa.Table.from_pylist(list(records), schema), path, compression="zstd")
