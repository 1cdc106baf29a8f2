"""What the Prefect page shows of a run beside its tasks: progress, a table of the rounds, the summary."""

import os
import time
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
from schemas.promotion import PromotionDecision
from schemas.report import StepReport
from zppo.core.metrics import table_rows
from zppo.progress import time_left
from zppo.tracking.client import without_password
from zppo.tracking.mlflow import MlflowTracker
from zppo.wiring.context import RunContext
from zppo.wiring.registry import TRACKING_URI

ROUNDS_SHOWN = 20
"""Rows of the table of rounds: the last ones."""


def progress_of(name: str, total: int, done: int) -> Callable[[int], None]:
    """A progress bar on the flow run's page; the returned function moves it, and says how long is left."""
    description = f"Rounds of {name}, of {total}"
    began = time.monotonic()
    first = partial(create_progress_artifact, 100.0 * done / total, key="progress", description=description)
    created = patiently(first)
    assert isinstance(created, UUID)

    def move(rounds: int) -> None:
        left = time_left(time.monotonic() - began, rounds - done, total - rounds)
        update_progress_artifact(created, 100.0 * rounds / total, f"{description}: {rounds} done, {left}")

    return move


def show_rounds(name: str, reports: list[StepReport]) -> None:
    """A table of the last rounds, by their reports."""
    create_table_artifact(table_rows(reports), key="rounds", description=f"The last rounds of {name}")


def show_summary(name: str, text: str) -> None:
    """The summary of a finished run."""
    _show("summary", text, f"Summary of {name}")


def show_links(run: RunContext, tracker: MlflowTracker) -> None:
    """Where else to look: the run in MLflow, and its directory in the store."""
    directory, server = run.store.home / run.paths.root, os.environ.get(TRACKING_URI, "")
    shown = f"MLflow: run `{tracker.run_id}` of the database in {run.store.home}"
    if server.startswith("http"):
        shown = f"MLflow: [{run.name}]({without_password(server).rstrip('/')}/#/runs/{tracker.run_id})"
    text = f"- {shown}\n- Store: `{directory}`\n- Report of a finished run: `{directory / 'summary'}`"
    _show("links", text, f"Where {run.name} is")


def show_decision(decision: PromotionDecision, became: str = "") -> None:
    """A promotion decision with the evidence of every gate, and what became of the alias."""
    text = f"{decision_text(decision)}\n\n{became}".rstrip()
    _show("decision", text, f"Promotion of {decision.challenger.model}")


def decision_text(decision: PromotionDecision) -> str:
    """A promotion decision as Markdown."""
    gates = "\n".join(
        f"| {gate.name} | {'passed' if gate.passed else '**failed**'} | {gate.evidence} |"
        for gate in decision.gates
    )
    return (
        f"**{'Passed' if decision.promoted else 'Not passed'}**: {decision.reason}\n\n"
        f"{decision.challenger.model} against the {decision.incumbent.role} {decision.incumbent.model}\n\n"
        f"| gate | outcome | evidence |\n| --- | --- | --- |\n{gates}"
    )


def show_note(key: str, text: str) -> None:
    """A sentence that a flow run leaves on its page."""
    _show(key, text, text)


def _show(key: str, text: str, description: str) -> None:
    patiently(partial(create_markdown_artifact, text, key=key, description=description))
