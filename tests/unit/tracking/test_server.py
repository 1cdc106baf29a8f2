"""The tracker and the registry against a real MLflow server, which goes away and comes back."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas.promotion import Lineage
from tests.mlflow_servers import free_port, mlflow_server
from zppo.errors import ZppoError
from zppo.ports import TrackedRun
from zppo.tracking import mlflow as adapter
from zppo.tracking.mlflow import MlflowTracker
from zppo.tracking.registry import ModelRegistry

pytestmark = pytest.mark.deploy

AT = datetime(2026, 6, 16, tzinfo=UTC)


@pytest.fixture
def port() -> int:
    return free_port()


def test_a_server_that_goes_away_and_comes_back_misses_nothing(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "RETRY_SECONDS", 0.0)
    said: list[str] = []
    with mlflow_server(tmp_path, port):
        tracker = MlflowTracker(f"http://127.0.0.1:{port}", None, said.append)
        tracker.start(TrackedRun("a", "key", {"x": "1"}))
        tracker.log_round(1, {"accuracy": 0.1}, AT)
    tracker.log_round(2, {"accuracy": 0.2}, AT)
    with pytest.raises(ZppoError, match="MLflow failed while copying"):
        tracker.log_file(Path(__file__))
    with mlflow_server(tmp_path, port):
        tracker.log_round(3, {"accuracy": 0.3}, AT)
        tracker.finish("finished")
        history = tracker._client.get_metric_history(tracker.run_id, "accuracy")
    assert [(metric.step, metric.value) for metric in history] == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert len(said) == 2


def test_a_version_registered_through_a_server_is_downloaded_and_checked(tmp_path: Path, port: int) -> None:
    uri = f"http://127.0.0.1:{port}"
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"weights")
    lineage = Lineage(
        run="a", round=1, student="s", run_fingerprint="1" * 64, checkpoint_fingerprint="2" * 64,
        evaluation_fingerprint="3" * 64, weights_sha256="4" * 64,
    )  # fmt: skip
    with mlflow_server(tmp_path, port):
        tracker = MlflowTracker(uri, None, pytest.fail)
        tracker.start(TrackedRun("a", "key", {}))
        registry = ModelRegistry(uri, tmp_path / "downloads")
        version = registry.register("student", [weights], lineage, tracker.run_id)
        registry.crown(version)
        assert registry.resolve("champion", "student") == version
        directory = registry.directory(version)
    assert directory.is_relative_to(tmp_path / "downloads")
    assert (registry.directory(version) / "model.safetensors").read_bytes() == b"weights"
