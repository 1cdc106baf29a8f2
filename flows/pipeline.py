"""The pipeline as a Prefect flow: prepare, precompute, train, evaluate, promote.

Take the decorators away and it reads the same. Tasks return references into the store, never data; the
store decides what is done already, so a retry, a resumed run and a fresh process go on alike.
"""

from collections.abc import Callable
from typing import ParamSpec

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from flows.servers import flow_server
from flows.stopping import stop_at_commits
from schemas.config.run import RunConfig, Runtime
from zppo.tracking.mlflow import MlflowTracker
from zppo.wiring.context import RunContext, open_run
from zppo.wiring.evaluate import read_evaluation, run_evaluate
from zppo.wiring.prepare import run_prepare
from zppo.wiring.promote import run_promote
from zppo.wiring.summary import write_summary
from zppo.wiring.teacher import run_precompute
from zppo.wiring.tracking import tracking
from zppo.wiring.train import open_training

P = ParamSpec("P")


def run_pipeline(config: RunConfig, name: str, runtime: Runtime) -> None:
    """Run all stages against the configured Prefect server, or one of this process's own."""
    with flow_server(runtime.home):
        pipeline(config, name, runtime)


def evaluate_run(config: RunConfig, name: str, runtime: Runtime) -> None:
    """Evaluate base, best checkpoint and teacher of a trained run."""
    with flow_server(runtime.home):
        evaluate(config, name, runtime)


def promote_run(config: RunConfig, name: str, runtime: Runtime) -> None:
    """Decide whether a run's best checkpoint becomes the champion."""
    with flow_server(runtime.home):
        promote(config, name, runtime)


@flow(name="zppo", flow_run_name="{name}")
def pipeline(config: RunConfig, name: str, runtime: Runtime) -> None:
    """From the data to the champion."""
    with open_run(config, name, runtime) as run:
        _stage("prepare", run_prepare, run)
        _stage("precompute", run_precompute, run)
        with tracking(run) as tracker:
            _train(run, tracker)
            _evaluate(run, tracker)
            _promote(run, tracker)


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
    with open_training(run, tracker) as trainer, stop_at_commits() as commit_done:
        trainer.validate_base()
        for index in trainer.remaining():
            _stage(f"collect {index}", trainer.collect, index)
            commit_done()
            _stage(f"update {index}", trainer.update, index)
            commit_done()


def _evaluate(run: RunContext, tracker: MlflowTracker) -> None:
    _stage("evaluate", run_evaluate, run)
    tracker.log_evaluation(read_evaluation(run))


def _promote(run: RunContext, tracker: MlflowTracker) -> None:
    _stage("promote", run_promote, run, tracker.run_id)
    summary, picture = write_summary(run)
    tracker.log_file(summary)
    tracker.log_file(picture)
    text = summary.read_text()
    create_markdown_artifact(text, key="summary", description=f"Summary of {run.name}")
    run.progress.say(f"\n{text}\nPicture: {picture}")


def _stage(title: str, work: Callable[P, str], *args: P.args, **kwargs: P.kwargs) -> str:
    """Run a piece of work as a Prefect task, so that it shows."""
    name = title.split(maxsplit=1)[0]
    return task(name=name, task_run_name=title, cache_policy=NO_CACHE)(work)(*args, **kwargs)
