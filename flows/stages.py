"""Each stage as a flow of its own, for deployments.

A deployed flow is told what to compute; what the machine offers, and where the store is, the worker's own
environment says. It opens the run, does its part, and lets the run go.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from prefect import flow, runtime
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.states import Completed
from pydantic import Field

from flows.approving import approval_of
from flows.artifacts import show_decision, show_links
from flows.cancelling import cancelled_at_the_end
from flows.crashed import mark_crashed, untagged
from flows.pipeline import as_task, decide_champion, run_directory, score_models, summarize, train_rounds
from schemas.base import Name
from schemas.config.run import RunConfig, Runtime
from zppo.errors import InputError
from zppo.machine import load_machine
from zppo.runs import read_run
from zppo.wiring.context import RunContext, open_run
from zppo.wiring.precompute import run_precompute
from zppo.wiring.prepare import run_prepare
from zppo.wiring.promote import Outcome, Wish, run_promote
from zppo.wiring.reuse import prepared_before, say_reuse
from zppo.wiring.tracking import check_tracking, tracking

EVALUATED = "zppo.run.evaluated"
"""The event of an evaluation that nobody waits for; its resource is named as the run."""
ASK_HOURS = 72.0
HOME, MACHINE = "ZPPO_HOME", "ZPPO_MACHINE"
"""Environment of a worker: the home of all runs, and a machine file where it is not `<home>/machine.yaml`."""


def machine() -> Runtime:
    """What this worker's machine offers, from its environment.

    Raises:
        InputError: The environment names no home, or the machine file is not valid.
    """
    home, file = os.environ.get(HOME, ""), os.environ.get(MACHINE)
    if not Path(home).is_absolute():
        raise InputError(
            f"{HOME} is {home!r}; expected the absolute path of the directory that all workers share. Set it "
            "in the worker's environment and start the worker again"
        )
    return load_machine(Path(home), Path(file) if file else None, None, None)


@flow(name="zppo-prepare", flow_run_name="prepare {name}")
def prepare(config: RunConfig, name: Name) -> None:
    """Prepare the data of a run."""
    with opened(config, name) as run:
        prepare_data(run)


@flow(name="zppo-precompute", flow_run_name="precompute {name}")
def precompute(config: RunConfig, name: Name) -> None:
    """Draw the teacher's responses ahead of training."""
    with opened(config, name) as run:
        ask_teacher(run)


@flow(name="zppo-train", flow_run_name="train {name}")
def train(config: RunConfig, name: Name) -> None:
    """Train every round that is left; draws a teacher's responses first where they are missing."""
    with cancelled_at_the_end(), opened(config, name) as run:
        check_tracking(run.runtime)
        prepare_data(run)
        ask_teacher(run)
        with tracking(run) as tracker:
            show_links(run, tracker)
            train_rounds(run, tracker)


@flow(name="zppo-evaluate-run", flow_run_name="evaluate {name}")
def evaluate(name: Name) -> None:
    """Evaluate base, best checkpoint and teacher of a trained run.

    Its end is an event that an automation promotes upon; not where a pipeline has handed it on, which goes
    on by itself.
    """
    with reopened(name) as run:
        evaluate_models(run)
    if runtime.flow_run.parent_flow_run_id is None:
        emit_event(EVALUATED, {"prefect.resource.id": f"zppo.run.{name}", "prefect.resource.name": name})


@flow(name="zppo-promote-run", flow_run_name="promote {name}")
def promote(
    name: Name, force: str | None = None, ask: bool = False, hours: Annotated[float, Field(gt=0)] = ASK_HOURS
) -> State[Any]:
    """Decide, against today's champion, whether a run's best checkpoint takes its place.

    Args:
        name: Of an evaluated run.
        force: Why it is to become the champion whatever the gates say.
        ask: Where the gates pass, wait for somebody to approve it on the page of this flow run.
        hours: How long to wait; nothing moves without an answer.
    """
    if force and ask:
        raise InputError("force and ask exclude each other: a promotion that is forced waits for nobody")
    outcome = settled(name, Wish(force=force, ask=ask))
    if outcome.waits:
        approval = approval_of(outcome.decision, hours)
        outcome = settled(name, Wish(approval=approval))
    refused = outcome.decision.approval is not None and not outcome.decision.approval.approved
    return Completed(name="Refused" if refused else None, message=outcome.text)


def settled(name: str, wish: Wish) -> Outcome:
    """A decision, shown on the page, and what became of it."""
    with reopened(name) as run, tracking(run) as tracker:
        show_links(run, tracker)
        outcome = as_task("promote", run_promote, run, tracker.run_id, wish)
        show_decision(outcome.decision, outcome.text)
    return outcome


@contextmanager
def opened(config: RunConfig, name: str, tagged: bool = True) -> Iterator[RunContext]:
    """Hold a run until the block ends.

    Args:
        config: The recipe.
        name: Of the run.
        tagged: Tag the flow run as the one that works on the run's directory, and mark earlier ones as
            crashed. Not for a flow that lets others work on it while it is alive.
    """
    local = machine()
    with open_run(config, name, local) as run, untagged():
        if tagged:
            mark_crashed(run_directory(name, local))
        yield run


@contextmanager
def reopened(name: str) -> Iterator[RunContext]:
    """Hold a run that exists, by the recipe that it began with."""
    with opened(read_run(machine().home, name).recipe, name) as run:
        yield run


def prepare_data(run: RunContext) -> None:
    """The prepare stage, and what the run finds done."""
    before = prepared_before(run)
    as_task("prepare", run_prepare, run)
    say_reuse(run, before)


def ask_teacher(run: RunContext) -> None:
    """The precompute stage."""
    as_task("precompute", run_precompute, run)


def evaluate_models(run: RunContext) -> None:
    """The evaluate stage."""
    with tracking(run) as tracker:
        show_links(run, tracker)
        score_models(run, tracker)


def conclude(run: RunContext) -> Outcome:
    """The promote stage, and the summary."""
    with tracking(run) as tracker:
        show_links(run, tracker)
        outcome = decide_champion(run, tracker)
        show_decision(outcome.decision, outcome.text)
    summarize(run, tracker)
    return outcome
