"""The pipeline as a Prefect flow: prepare, precompute, train, evaluate, promote.

Take the decorators away and it reads the same. Tasks return references into the store, never data; the
store decides what is done already, so a retry, a resumed run and a fresh process go on alike.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.artifacts import ROUNDS_SHOWN, progress_of, show_rounds, show_summary
from flows.cancelling import cancelled_at_the_end, watch_for_cancel
from flows.crashed import mark_crashed, tagged, untagged
from flows.outages import WhereItStands, Window, wait_for_server
from flows.servers import flow_server
from flows.stopping import stop_at_commits
from schemas.config.run import RunConfig, Runtime
from zppo.layout import RunPaths
from zppo.runs import finished_summary
from zppo.stages.train import committed_rounds, read_reports
from zppo.stores.local import LocalStore
from zppo.tracking.mlflow import MlflowTracker
from zppo.wiring.context import RunContext, open_run
from zppo.wiring.evaluate import read_evaluation, run_evaluate
from zppo.wiring.precompute import run_precompute
from zppo.wiring.prepare import run_prepare
from zppo.wiring.promote import Outcome, Wish, run_promote
from zppo.wiring.reuse import prepared_before, say_reuse
from zppo.wiring.summary import run_summary
from zppo.wiring.tracking import check_tracking, tracking
from zppo.wiring.train import open_training

P = ParamSpec("P")
R = TypeVar("R")


def run_pipeline(config: RunConfig, name: str, runtime: Runtime, again: str | None = None) -> None:
    """Run all stages against the configured Prefect server, or one of this process's own.

    Args:
        config: The recipe.
        name: Of the run.
        runtime: The machine.
        again: The command that goes on with it, for errors; by default one with no options but the home.
    """
    stands = _stands(config, name, runtime, again)
    with flow_server(runtime.home, stands), tagged(run_directory(name, runtime)), cancelled_at_the_end():
        pipeline(config, name, runtime)


def evaluate_run(config: RunConfig, name: str, runtime: Runtime, again: str | None = None) -> None:
    """Evaluate base, best checkpoint and teacher of a trained run."""
    stands = _stands(config, name, runtime, again)
    with flow_server(runtime.home, stands), tagged(run_directory(name, runtime)):
        evaluate(config, name, runtime)


def promote_run(
    config: RunConfig, name: str, runtime: Runtime, force: str | None = None, again: str | None = None
) -> None:
    """Decide whether a run's best checkpoint becomes the champion; `force` is why it is to be in any case."""
    stands = _stands(config, name, runtime, again)
    with flow_server(runtime.home, stands), tagged(run_directory(name, runtime)):
        promote(config, name, runtime, force)


@flow(name="zppo", flow_run_name="{name}")
def pipeline(config: RunConfig, name: str, runtime: Runtime) -> None:
    """From the data to the champion."""
    with open_run(config, name, runtime) as run, untagged():
        mark_crashed(run_directory(name, runtime))
        check_tracking(runtime)
        before = prepared_before(run)
        as_task("prepare", run_prepare, run)
        say_reuse(run, before)
        as_task("precompute", run_precompute, run)
        with tracking(run) as tracker:
            train_rounds(run, tracker)
            score_models(run, tracker)
            decide_champion(run, tracker)
        summarize(run, tracker)


@flow(name="zppo-evaluate", flow_run_name="{name}")
def evaluate(config: RunConfig, name: str, runtime: Runtime) -> None:
    """Evaluation alone."""
    with open_run(config, name, runtime) as run, tracking(run) as tracker, untagged():
        score_models(run, tracker)


@flow(name="zppo-promote", flow_run_name="{name}")
def promote(config: RunConfig, name: str, runtime: Runtime, force: str | None = None) -> None:
    """Promotion alone, asked for by a person."""
    with open_run(config, name, runtime) as run, tracking(run) as tracker, untagged():
        as_task("promote", run_promote, run, tracker.run_id, Wish(force))


def train_rounds(run: RunContext, tracker: MlflowTracker) -> None:
    """Every round that is not committed: its rollouts, then the GPU training task."""
    if run.committed_rounds() == run.config.rounds:
        return
    with open_training(run, tracker) as trainer, stop_at_commits() as commit_done:
        trainer.validate_base()
        stop_if_cancelled = watch_for_cancel()
        window = Window(run.progress)
        show_progress = progress_of(run.name, run.config.rounds, run.committed_rounds())
        for index in trainer.remaining():
            as_task(f"collect {index}", trainer.collect, index)
            commit_done()
            as_task(f"update {index}", trainer.update, index)
            commit_done()
            stop_if_cancelled()
            if trainer.writes_checkpoint(index):
                window.show(partial(show_progress, index))
                shown = read_reports(run.store, run.paths, ROUNDS_SHOWN)
                window.show(partial(show_rounds, run.name, shown))


def score_models(run: RunContext, tracker: MlflowTracker) -> None:
    """The evaluate stage."""
    as_task("evaluate", run_evaluate, run)
    tracker.log_evaluation(read_evaluation(run))


def decide_champion(run: RunContext, tracker: MlflowTracker) -> Outcome:
    """The promote stage."""
    outcome = as_task("promote", run_promote, run, tracker.run_id)
    run.progress.say(f"promote     {outcome.decision.reason}")
    if outcome.waits:
        run.progress.say(f"promote     {outcome.text}; zppo promote {run.name} approves it")
    return outcome


def summarize(run: RunContext, tracker: MlflowTracker) -> None:
    """The last commit of a run: its summary, in MLflow and on the flow run's page as well."""
    wait_for_server()  # a run that has its summary is finished, and does not come back to be shown as that
    run_summary(run, tracker.log_file)
    text = finished_summary(run.store.home, run.name)
    assert text is not None
    show_summary(run.name, text)
    run.progress.say(f"\n{text}")


def _stands(config: RunConfig, name: str, runtime: Runtime, again: str | None) -> WhereItStands:
    """What an error about Prefect says of a run."""
    home = "" if runtime.home == Runtime().home else f" --home {runtime.home}"
    command = again or f"zppo resume {name}{home}"

    def say() -> str:
        done = committed_rounds(LocalStore(runtime.home), RunPaths(name))
        return f"{done} of {config.rounds} rounds of {name} are committed; go on with: {command}"

    return say


def run_directory(name: str, runtime: Runtime) -> Path:
    """Of a run on this machine."""
    return runtime.home / RunPaths(name).root


def as_task(title: str, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a piece of work as a Prefect task, so that it shows."""
    name = title.split(maxsplit=1)[0]
    return task(name=name, task_run_name=title, cache_policy=NO_CACHE)(work)(*args, **kwargs)
