"""What the Prefect page shows of a run beside its tasks: progress, a table of the rounds, the summary."""

from collections.abc import Callable
from functools import partial
from uuid import UUID

from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from flows.outages import patiently
from schemas.report import StepReport
from zppo.core.metrics import table_rows

ROUNDS_SHOWN = 20
"""Rows of the table of rounds: the last ones."""


def progress_of(name: str, total: int, done: int) -> Callable[[int], None]:
    """A progress bar on the flow run's page; the returned function moves it."""
    description = f"Rounds of {name}, of {total}"
    first = partial(create_progress_artifact, 100.0 * done / total, key="progress", description=description)
    created = patiently(first)
    assert isinstance(created, UUID)

    def move(rounds: int) -> None:
        update_progress_artifact(created, 100.0 * rounds / total)

    return move


def show_rounds(name: str, reports: list[StepReport]) -> None:
    """A table of the last rounds."""
    rows = table_rows(reports[-ROUNDS_SHOWN:])
    create_table_artifact(rows, key="rounds", description=f"The last rounds of {name}")


def show_summary(name: str, text: str) -> None:
    """The summary of a finished run."""
    patiently(partial(create_markdown_artifact, text, key="summary", description=f"Summary of {name}"))
