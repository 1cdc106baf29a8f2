"""One MLflow run for each run, through a client and an explicit run id.

MLflow shows what the store holds and is never read back for anything else: what it misses, because a
process was killed or a server was away, is sent again from the store.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from schemas.evaluation import Evaluation, Score
from zppo.errors import InputError, ZppoError
from zppo.ports import TrackedRun
from zppo.tracking.client import connect, explained, without_password
from zppo.tracking.naming import metric_name

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

EXPERIMENT = "zppo"
KEY_TAG = "zppo.key"
_TRAINING = {"mlflow.experimentKind": "custom_model_development"}
"""Makes MLflow's page open on the runs rather than on traces of an agent."""
ROUND = "round"
"""Metric that every delivered round has; a round's metrics arrive in one transaction."""
RETRY_SECONDS, MAX_RETRY_SECONDS = 30.0, 600.0
"""Pause after a failed delivery, doubled at each further one up to a limit, so that an absent server does
not slow the rounds down."""
_PARAMETERS_A_CALL = 100
_STATUS = {"finished": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}


class MlflowTracker:
    """Adapter of the port `Tracker`."""

    def __init__(self, uri: str, artifacts: Path | None, warn: Callable[[str], None]) -> None:
        """Connect to MLflow.

        Args:
            uri: Of a server or a database.
            artifacts: Where a new experiment on a database keeps files; None leaves it to the server.
            warn: Told, once each, that the server went away and that it is back.
        """
        self._client = connect(uri)
        self._artifacts = artifacts
        self._warn = warn
        self._run_id = ""
        self._delivered: set[int] = set()
        self._pending: dict[int, tuple[Mapping[str, float], datetime]] = {}
        self._retry_at: float | None = None
        self._failures = 0

    @property
    def run_id(self) -> str:
        """MLflow's id of the run."""
        assert self._run_id, "start comes first"
        return self._run_id

    def start(self, run: TrackedRun) -> None:
        """Begin a run, or go on with the one of the same key."""
        with explained(f"starting the run {run.name!r}"):
            self._open(run)
            self._describe(run)
            history = self._client.get_metric_history(self._run_id, ROUND)
        self._delivered = {metric.step for metric in history}

    def log_round(self, index: int, metrics: Mapping[str, float], at: datetime) -> None:
        """Metrics of a committed round; a round that is there already is left alone.

        While the server is away, rounds wait in memory; after the process has ended they are in the store.
        """
        if index not in self._delivered:
            self._pending[index] = (metrics, at)
        if self._retry_at is None or time.monotonic() >= self._retry_at:
            self._deliver()

    def log_evaluation(self, evaluation: Evaluation) -> None:
        """Accuracies of every model on every source; repeating it changes nothing."""
        metrics = dict(_evaluation_metrics(evaluation))
        with explained("recording the evaluation"):
            if not metrics.keys() <= self._client.get_run(self.run_id).data.metrics.keys():
                self._log(metrics, 0, time.time_ns() // 1_000_000)

    def log_file(self, file: Path, folder: str = "") -> None:
        """Keep a copy of a file with the run, replacing one of the same name."""
        with explained(f"copying {file}"):
            self._client.log_artifact(self.run_id, str(file), folder or None)

    def finish(self, outcome: Literal["finished", "failed", "stopped"]) -> None:
        """End the run, or this process's part of it. Raises `ZppoError` when rounds are still undelivered."""
        self._deliver()
        if self._pending:
            raise ZppoError(
                f"MLflow does not answer and lacks rounds {min(self._pending)} to {max(self._pending)}. They "
                "are in the store: start MLflow and resume the run, which delivers them"
            )
        with explained("ending the run"):
            self._client.set_terminated(self.run_id, _STATUS[outcome])

    def _open(self, run: TrackedRun) -> None:
        client, experiment = self._client, _experiment(self._client, self._artifacts)
        found = client.search_runs(
            [experiment], filter_string=f"tags.`{KEY_TAG}` = '{run.key}'", max_results=1
        )
        if found:
            self._run_id = found[0].info.run_id
            client.update_run(self._run_id, status="RUNNING")
        else:
            created = client.create_run(experiment, run_name=run.name, tags={KEY_TAG: run.key})
            self._run_id = created.info.run_id

    def _describe(self, run: TrackedRun) -> None:
        """Parameters and data sets; MLflow leaves alone what is there already."""
        from mlflow.entities import Dataset, DatasetInput, Param

        items = [Param(key, value) for key, value in run.parameters.items()]
        for start in range(0, len(items), _PARAMETERS_A_CALL):
            self._client.log_batch(self.run_id, params=items[start : start + _PARAMETERS_A_CALL])
        data = [
            DatasetInput(Dataset(each.name, each.digest[:36], source_type="zppo", source=each.source))
            for each in run.data
        ]
        if data:
            self._client.log_inputs(self.run_id, datasets=data)

    def _deliver(self) -> None:
        """Send the waiting rounds in order, until one fails."""
        from mlflow.exceptions import MlflowException

        for index in sorted(self._pending):
            metrics, at = self._pending[index]
            named = {metric_name(*name.split("/")): value for name, value in metrics.items()}
            try:
                self._log({ROUND: float(index), **named}, index, int(at.timestamp() * 1000))
            except (MlflowException, OSError) as error:
                self._postpone(index, error)
                return
            del self._pending[index]
            self._delivered.add(index)
        if self._retry_at is not None:
            self._warn("MLflow answers again; all rounds are delivered")
            self._retry_at, self._failures = None, 0

    def _postpone(self, index: int, error: Exception) -> None:
        """Say once that the server is away, and wait longer each time."""
        if self._retry_at is None:
            cause = without_password(str(error))
            self._warn(f"MLflow does not take round {index} ({cause}); the run goes on, delivery later")
        self._retry_at = time.monotonic() + min(RETRY_SECONDS * 2**self._failures, MAX_RETRY_SECONDS)
        self._failures += 1

    def _log(self, metrics: Mapping[str, float], step: int, milliseconds: int) -> None:
        from mlflow.entities import Metric

        batch = [Metric(name, value, milliseconds, step) for name, value in metrics.items()]
        self._client.log_batch(self.run_id, metrics=batch)


def _experiment(client: "MlflowClient", artifacts: Path | None) -> str:
    """The id of the experiment, made where it does not exist."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        location = artifacts.absolute().as_uri() if artifacts else None
        try:
            return str(client.create_experiment(EXPERIMENT, artifact_location=location, tags=_TRAINING))
        except MlflowException as error:
            # Another process may have made it meanwhile.
            found = client.get_experiment_by_name(EXPERIMENT)
            if found is None:
                raise InputError(
                    f"MLflow does not let the experiment {EXPERIMENT!r} be made: {error}"
                ) from error
    if found.lifecycle_stage != "active":
        raise InputError(
            f"the MLflow experiment {EXPERIMENT!r} was deleted; restore it with "
            f"`mlflow experiments restore --experiment-id {found.experiment_id}`"
        )
    return str(found.experiment_id)


def _evaluation_metrics(evaluation: Evaluation) -> Iterator[tuple[str, float]]:
    for model in evaluation.models:
        yield from _score_metrics(model.in_distribution, model.role, "in_distribution")
        yield from _score_metrics(model.out_of_distribution, model.role, "out_of_distribution")
        for source in model.sources:
            place = ("source", source.source) if source.kind is None else ("kind", source.source, source.kind)
            yield from _score_metrics(source.score, model.role, *place)
    for baseline in evaluation.baselines:
        yield metric_name("evaluation", "baseline", "source", baseline.source, "accuracy"), baseline.accuracy


def _score_metrics(score: Score, *place: str) -> Iterator[tuple[str, float]]:
    values = {
        "accuracy": score.accuracy,
        "accuracy_low": score.interval.low if score.interval else None,
        "accuracy_high": score.interval.high if score.interval else None,
        "truncated": score.truncated,
        "no_answer": score.no_answer,
    }
    for name, value in values.items():
        if value is not None:
            yield metric_name("evaluation", *place, name), value
