"""A run in MLflow, and the registry beside it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from schemas.config.run import Runtime
from schemas.report import RoundTimings, StepReport
from schemas.run import Fork
from zppo.core.metrics import round_metrics
from zppo.errors import ZppoError
from zppo.ports import TrackedData, TrackedRun
from zppo.stages.timings import read_timings
from zppo.stages.train import read_report
from zppo.tracking.client import connect
from zppo.tracking.mlflow import MlflowTracker
from zppo.tracking.naming import parameters
from zppo.wiring.context import RunContext
from zppo.wiring.prepare import read_prepared, run_prepare
from zppo.wiring.registry import TRACKING_URI, mlflow_uri


def check_tracking(runtime: Runtime) -> None:
    """Fail before anything expensive is computed; raises `InputError` when MLflow does not answer."""
    connect(mlflow_uri(runtime))


@contextmanager
def tracking(run: RunContext) -> Iterator[MlflowTracker]:
    """The run in MLflow: begun, or gone on with; rounds that it lacks are delivered first."""
    artifacts = None if os.environ.get(TRACKING_URI) else run.runtime.home / "mlartifacts"
    tracker = MlflowTracker(mlflow_uri(run.runtime), artifacts, run.progress.say)
    tracker.start(_tracked(run))
    for index in range(1, run.committed_rounds() + 1):
        report = read_report(run.store, run.paths, index)
        deliver_round(run, tracker, report, read_timings(run.store, run.paths, index))
    try:
        yield tracker
    except BaseException as error:
        outcome: Literal["failed", "stopped"] = "failed" if isinstance(error, Exception) else "stopped"
        with suppress(ZppoError):
            tracker.finish(outcome)
        raise
    tracker.finish("finished")


def deliver_round(run: RunContext, tracker: MlflowTracker, report: StepReport, timings: RoundTimings) -> None:
    """Log a committed round under the time of its commit."""
    committed = run.committed(run.paths.update(report.round)).provenance.created
    tracker.log_round(report.round, round_metrics(report, timings), committed)


def _tracked(run: RunContext) -> TrackedRun:
    """What MLflow shows of a run before its first round; the key survives a resume, not a new start."""
    data = read_prepared(run.store, run_prepare(run))
    begun = run.manifest.provenance.created.isoformat()
    return TrackedRun(
        name=run.name,
        key=f"{run.name}/{run.manifest.fingerprint[:16]}/{begun}",
        parameters=parameters(run.config) | _origin(run.record.fork),
        data=tuple(TrackedData(each.source, each.digest.split(":", 1)[1], each.name) for each in data.inputs),
    )


def _origin(fork: Fork | None) -> dict[str, str]:
    """Parameters that name the run and the round that a fork goes on from."""
    if fork is None:
        return {}
    return {
        "forked_from.run": fork.parent.name,
        "forked_from.run_fingerprint": fork.run_fingerprint,
        "forked_from.round": str(fork.round),
    }
