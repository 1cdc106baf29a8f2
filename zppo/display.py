"""Tables for the terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from schemas.run import RunStatus
from zppo.progress import clock_text


def status_table(runs: Sequence[RunStatus]) -> None:
    """One row a run: how far it is and what it has reached."""
    table = Table(box=None, pad_edge=False)
    for heading in (
        "run",
        "state",
        "method",
        "student",
        "rounds",
        "left",
        "plain",
        "validation",
        "checkpoint",
    ):
        table.add_column(heading, no_wrap=True)
    for run in runs:
        table.add_row(
            run.name,
            f"{run.state} ({run.process} on {run.host})" if run.process else run.state,
            run.method,
            run.student,
            f"{run.rounds_done}/{run.rounds}",
            "-" if run.seconds_left is None else clock_text(run.seconds_left),
            _accuracy(run.plain_accuracy),
            _accuracy(run.validation[-1][1] if run.validation else None),
            str(run.checkpoints[-1]) if run.checkpoints else "-",
        )
    Console(soft_wrap=True).print(table)


def _accuracy(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
