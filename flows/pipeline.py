"""The pipeline as a Prefect flow: prepare, precompute, train, evaluate, promote.

Take the decorators away and it reads the same. Tasks return references into the store, never data; the
store decides what is done already, so a retry, a resumed run and a fresh process go on alike.
"""

from collections.abc import Callable
from typing import ParamSpec

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.artifacts import progress_of, show_rounds, show_summary
from flows.cancelling import cancelled_at_the_end, watch_for_cancel
from flows.crashed import mark_crashed, tagged
from flows.servers import flow_server
from flows.stopping import stop_at_commits
from schemas.config.run import RunConfig, Runtime
from zppo.runs import finished_summary
from zppo.stages.train import read_reports
from zppo.tracking.mlflow import MlflowTracker
from zppo.wiring.context import RunContext, open_run
from zppo.wiring.evaluate import read_evaluation, run_evaluate
from zppo.wiring.precompute import run_precompute
from zppo.wiring.prepare import run_prepare
from zppo.wiring.promote import read_decision, run_promote
from zppo.wiring.summary import run_summary
from zppo.wiring.tracking import check_tracking, tracking
from zppo.wiring.train import open_training

P = ParamSpec("P")


def run_pipeline(config: RunConfig, name: str, runtime: Runtime) -> None:
    """Run all stages against the configured Prefect server, or one of this process's own."""
    with flow_server(runtime.home), tagged(runtime.home), cancelled_at_the_end():
        pipeline(config, name, runtime)


def evaluate_run(config: RunConfig, name: str, runtime: Runtime) -> None:
    """Evaluate base, best checkpoint and teacher of a trained run."""
    with flow_server(runtime.home), tagged(runtime.home):
        evaluate(config, name, runtime)


def promote_run(config: RunConfig, name: str, runtime: Runtime) -> None:
    """Decide whether a run's best checkpoint becomes the champion."""
    with flow_server(runtime.home), tagged(runtime.home):
        promote(config, name, runtime)


@flow(name="zppo", flow_run_name="{name}")
def pipeline(config: RunConfig, name: str, runtime: Runtime) -> None:
    """From the data to the champion."""
    with open_run(config, name, runtime) as run:
        mark_crashed(name, runtime.home)
        check_tracking(runtime)
        _stage("prepare", run_prepare, run)
        _stage("precompute", run_precompute, run)
        with tracking(run) as tracker:
            _train(run, tracker)
            _evaluate(run, tracker)
            _promote(run, tracker)
        _summarize(run, tracker)


@flow(name="zppo-evaluate", flow_run_name="{name}")
def evaluate(config: RunConfig, name: str, runtime: Runtime) -> None:
    """Evaluation alone."""
    with open_run(config, name, runtime) as run, tracking(run) as tracker:
        _evaluate(run, tracker)


@flow(name="zppo-promote", flow_run_name="{name}")
def promote(config: RunConfig, name: str, runtime: Runtime) -> None:
    """Promotion alone."""
    with open_run(config, name, runtime) as run, tracking(run) as tracker:
        _promote(run, tracker)


def _train(run: RunContext, tracker: MlflowTracker) -> None:
    """Every round that is not committed: its rollouts, then the GPU training task."""
    if run.committed_rounds() == run.config.rounds:
        run.progress.say(f"train       all {run.config.rounds} rounds are committed")
        return
    with open_training(run, tracker) as trainer, stop_at_commits() as commit_done:
        trainer.validate_base()
        stop_if_cancelled = watch_for_cancel()
        show_progress = progress_of(run.name, run.config.rounds, run.committed_rounds())
        for index in trainer.remaining():
            _stage(f"collect {index}", trainer.collect, index)
            commit_done()
            _stage(f"update {index}", trainer.update, index)
            commit_done()
            stop_if_cancelled()
            if trainer.writes_checkpoint(index):
                show_progress(index)
                show_rounds(run.name, read_reports(run.store, run.paths))


def _evaluate(run: RunContext, tracker: MlflowTracker) -> None:
    _stage("evaluate", run_evaluate, run)
    tracker.log_evaluation(read_evaluation(run))


def _promote(run: RunContext, tracker: MlflowTracker) -> None:
    _stage("promote", run_promote, run, tracker.run_id)
    run.progress.say(f"promote     {read_decision(run).reason}")


def _summarize(run: RunContext, tracker: MlflowTracker) -> None:
    """The last commit of a run: its summary, in MLflow and on the flow run's page as well."""
    run_summary(run, tracker.log_file)
    text = finished_summary(run.store.home, run.name)
    assert text is not None
    show_summary(run.name, text)
    run.progress.say(f"\n{text}")


def _stage(title: str, work: Callable[P, str], *args: P.args, **kwargs: P.kwargs) -> str:
    """Run a piece of work as a Prefect task, so that it shows."""
    name = title.split(maxsplit=1)[0]
    return task(name=name, task_run_name=title, cache_policy=NO_CACHE)(work)(*args, **kwargs)
