"""What schedules start: a night's run over new data, and a look at the champion."""

from datetime import date
from typing import Any

from prefect import flow, runtime
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.artifacts import show_links, show_note
from flows.pipeline import as_task
from flows.pools import Handed, run_over_pools
from flows.stages import machine, opened
from schemas.base import Name
from schemas.config.run import RunConfig
from zppo.runs import read_run, run_names
from zppo.tracking.registry import CHAMPION
from zppo.wiring.evaluate import read_evaluation
from zppo.wiring.examine import evaluate_alone
from zppo.wiring.freshness import Start, starting_from, unchanged_since
from zppo.wiring.tracking import tracking


@flow(name="zppo-nightly", flow_run_name="{series}")
def nightly(
    config: RunConfig,
    series: Name = "nightly",
    start: Start = "champion",
    handed: tuple[Handed, ...] = ("train",),
    ask: bool = False,
) -> State[Any]:
    """A run named by its date; over at once where the last finished one learned from the same data.

    Args:
        config: The recipe.
        series: What the run's name begins with, before its date.
        start: The student that training starts from.
        handed: As of the pipeline.
        ask: As of the pipeline.
    """
    local, name = machine(), dated(series)
    if last := unchanged_since(config, series, start, local):
        note = f"The data and the recipe are those of {last}, which is finished: nothing new to learn from."
        show_note("nightly", note)
        return Completed(name="Unchanged", message=note)
    begun = name in run_names(local.home)  # by an earlier try: who is champion may have changed since
    config = read_run(local.home, name).recipe if begun else starting_from(config, start, local)
    with opened(config, name, tagged=False) as run:
        note = f"{name} starts from {run.record.student.reference} ({run.record.student.digest})."
        show_note("nightly", note)
        run.progress.say(note)
    run_over_pools(config, name, handed, ask)
    return Completed(message=note)


@flow(name="zppo-evaluate-model", flow_run_name="evaluate {model}")
def evaluate_model(config: RunConfig, model: str = CHAMPION, series: Name = "evaluation") -> None:
    """Evaluate a registered model alone, on the held-out questions of a recipe.

    Args:
        config: The recipe that names data, decoding and grader; the rest of it is not used.
        model: `champion` or `models:/NAME/VERSION`.
        series: What the name of the evaluation begins with, before its date.
    """
    student = config.student.model_copy(update={"model": model, "revision": None})
    with (
        opened(config.model_copy(update={"student": student}), dated(series)) as run,
        tracking(run) as tracker,
    ):
        show_links(run, tracker)
        as_task("evaluate", evaluate_alone, run)
        tracker.log_evaluation(read_evaluation(run))


def dated(series: str) -> str:
    """The name of a series' run of the day for which the flow run was scheduled, whenever it starts."""
    day: date = runtime.flow_run.scheduled_start_time.date()
    return f"{series}-{day.isoformat()}"
