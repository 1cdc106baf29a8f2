"""What every tracker must do; MLflow on a real SQLite database, and the one in memory."""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pytest
from mlflow.tracking import MlflowClient

from tests.fakes.tracker import MemoryTracker
from zppo.ports import TrackedRun, Tracker
from zppo.tracking.mlflow import MlflowTracker

AT = datetime(2026, 6, 16, tzinfo=UTC)


class Server(Protocol):
    """A tracking server as the test sees it."""

    def connect(self) -> Tracker: ...
    def rounds(self, tracker: Any) -> list[tuple[int, float]]: ...
    def file(self, tracker: Any, name: str) -> bytes: ...
    def count(self) -> int: ...


class MemoryServer:
    def __init__(self) -> None:
        self.runs: dict[str, Any] = {}

    def connect(self) -> MemoryTracker:
        return MemoryTracker(self.runs)

    def rounds(self, tracker: MemoryTracker) -> list[tuple[int, float]]:
        return [(index, metrics["plain/accuracy"]) for index, metrics in sorted(tracker.run.rounds.items())]

    def file(self, tracker: MemoryTracker, name: str) -> bytes:
        return tracker.run.files[name]

    def count(self) -> int:
        return len(self.runs)


class MlflowServer:
    def __init__(self, home: Path) -> None:
        self.uri = f"sqlite:///{home / 'mlflow.db'}"
        self.artifacts = home / "mlartifacts"
        self.client = MlflowClient(self.uri)

    def connect(self) -> MlflowTracker:
        return MlflowTracker(self.uri, self.artifacts, pytest.fail)

    def rounds(self, tracker: MlflowTracker) -> list[tuple[int, float]]:
        history = self.client.get_metric_history(tracker.run_id, "plain/accuracy")
        return sorted((metric.step, metric.value) for metric in history)

    def file(self, tracker: MlflowTracker, name: str) -> bytes:
        return Path(self.client.download_artifacts(tracker.run_id, name)).read_bytes()

    def count(self) -> int:
        return len(self.client.search_runs([each.experiment_id for each in self.client.search_experiments()]))


@pytest.fixture(scope="module")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> MlflowServer:
    home = tmp_path_factory.mktemp("mlflow")
    shutil.copy(mlflow_database, home / "mlflow.db")
    return MlflowServer(home)


@pytest.fixture(params=["memory", "mlflow"])
def server(request: pytest.FixtureRequest) -> Server:
    if request.param == "memory":
        return MemoryServer()
    return request.getfixturevalue("mlflow_server")


@pytest.fixture
def run(request: pytest.FixtureRequest) -> TrackedRun:
    """A run of its own for each test; they share the database, which takes seconds to make."""
    return TrackedRun(name="a", key=request.node.name, parameters={"method.type": "zppo"})


def test_a_resumed_run_goes_on_without_gaps_or_duplicates(server: Server, run: TrackedRun) -> None:
    before = server.count()
    first = server.connect()
    first.start(run)
    for index in (1, 2):
        first.log_round(index, {"plain/accuracy": index / 10}, AT)
    second = server.connect()
    second.start(run)
    for index in (1, 2, 3):
        second.log_round(index, {"plain/accuracy": index / 10}, AT)
    assert server.rounds(second) == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert server.count() == before + 1


def test_runs_of_other_keys_are_apart_whatever_their_names(server: Server, run: TrackedRun) -> None:
    other = TrackedRun(name=run.name, key=f"{run.key}-other", parameters={})
    for each, accuracy in ((run, 0.1), (other, 0.2)):
        tracker = server.connect()
        tracker.start(each)
        tracker.log_round(1, {"plain/accuracy": accuracy}, AT)
        assert server.rounds(tracker) == [(1, accuracy)]


def test_files_are_kept_and_replaced(server: Server, run: TrackedRun, tmp_path: Path) -> None:
    tracker = server.connect()
    tracker.start(run)
    for content in (b"1", b"2"):
        (tmp_path / "summary.md").write_bytes(content)
        tracker.log_file(tmp_path / "summary.md", "report")
    assert server.file(tracker, "report/summary.md") == b"2"


def test_a_finished_run_can_be_opened_again(server: Server, run: TrackedRun) -> None:
    for index in (1, 2):
        tracker = server.connect()
        tracker.start(run)
        tracker.log_round(index, {"plain/accuracy": 0.5}, AT)
        tracker.finish("finished")
    assert server.rounds(tracker) == [(1, 0.5), (2, 0.5)]
