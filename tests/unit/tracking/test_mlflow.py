import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from schemas.config.evaluation import EvaluationConfig
from schemas.config.models import DecodingConfig
from schemas.evaluation import BaselineScore, Evaluation, EvaluationAnswer
from zppo.core.evaluation import score_model
from zppo.errors import InputError, ZppoError
from zppo.ports import TrackedData, TrackedRun
from zppo.tracking import mlflow as adapter
from zppo.tracking.mlflow import MlflowTracker

AT = datetime(2026, 6, 16, tzinfo=UTC)
DATA = TrackedData("prepared", "f" * 64, "store/prepare/ffff")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> Path:
    directory = tmp_path_factory.mktemp("mlflow")
    shutil.copy(mlflow_database, directory / "mlflow.db")
    return directory


@pytest.fixture(scope="module")
def uri(home: Path) -> str:
    return f"sqlite:///{home / 'mlflow.db'}"


@pytest.fixture
def run(request: pytest.FixtureRequest) -> TrackedRun:
    return TrackedRun("a", request.node.name, {f"p{n}": str(n) for n in range(150)}, (DATA,))


def _tracker(uri: str, home: Path) -> MlflowTracker:
    return MlflowTracker(uri, home / "mlartifacts", pytest.fail)


def _evaluation() -> Evaluation:
    answers = [
        EvaluationAnswer(
            question_id=f"q{n}", source="chains", kind=f"k={n % 2}", in_distribution=True, sample=0,
            outcome="correct" if n < 3 else "truncated", answer=None, tokens=1, text="",
        )
        for n in range(4)
    ]  # fmt: skip
    return Evaluation(
        data_fingerprint="0" * 64, decoding=DecodingConfig(), samples=1, confidence=0.95,
        bootstrap_resamples=100,
        models=(score_model("student", "m", "sha256:0", answers, EvaluationConfig(), 0),),
        baselines=(BaselineScore(source="chains", answer="3", accuracy=0.1),),
    )  # fmt: skip


def test_parameters_and_data_are_recorded_once_however_often_the_run_starts(
    uri: str, home: Path, run: TrackedRun
) -> None:
    for _ in range(2):
        tracker = _tracker(uri, home)
        tracker.start(run)
    found = MlflowClient(uri).get_run(tracker.run_id)
    assert found.data.params == dict(run.parameters)
    assert [(each.dataset.name, each.dataset.source) for each in found.inputs.dataset_inputs] == [
        ("prepared", "store/prepare/ffff")
    ]
    assert found.info.status == "RUNNING"
    tracker.finish("stopped")
    assert MlflowClient(uri).get_run(tracker.run_id).info.status == "KILLED"


def test_metrics_carry_the_time_of_their_round_and_accepted_names(
    uri: str, home: Path, run: TrackedRun
) -> None:
    tracker = _tracker(uri, home)
    tracker.start(run)
    tracker.log_round(7, {"plain/k=3": 0.5, "plain/accuracy": 1.0}, AT)
    (metric,) = MlflowClient(uri).get_metric_history(tracker.run_id, "plain/accuracy")
    assert (metric.step, metric.timestamp) == (7, AT.timestamp() * 1000)
    assert len(MlflowClient(uri).get_run(tracker.run_id).data.metrics) == 3


def test_an_evaluation_is_recorded_per_benchmark_and_only_once(uri: str, home: Path, run: TrackedRun) -> None:
    tracker = _tracker(uri, home)
    tracker.start(run)
    for _ in range(2):
        tracker.log_evaluation(_evaluation())
    client = MlflowClient(uri)
    metrics = client.get_run(tracker.run_id).data.metrics
    assert metrics["evaluation/student/in_distribution/accuracy"] == 0.75
    assert metrics["evaluation/student/source/chains/truncated"] == 0.25
    assert metrics["evaluation/baseline/source/chains/accuracy"] == 0.1
    assert len(client.get_metric_history(tracker.run_id, "evaluation/student/in_distribution/accuracy")) == 1


def test_rounds_that_the_server_does_not_take_are_delivered_later(
    uri: str, home: Path, run: TrackedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    tracker = MlflowTracker(uri, home / "mlartifacts", said.append)
    tracker.start(run)
    client = MlflowClient(uri)
    monkeypatch.setattr(adapter, "RETRY_SECONDS", 0.0)
    client.delete_run(tracker.run_id)  # MLflow refuses to write to it
    tracker.log_round(1, {"accuracy": 0.1}, AT)
    tracker.log_round(2, {"accuracy": 0.2}, AT)
    with pytest.raises(ZppoError, match="lacks rounds 1 to 2"):
        tracker.finish("finished")
    client.restore_run(tracker.run_id)
    tracker.log_round(3, {"accuracy": 0.3}, AT)
    assert sorted(each.step for each in client.get_metric_history(tracker.run_id, "accuracy")) == [1, 2, 3]
    assert len(said) == 2
    assert said[0].startswith("MLflow does not take round 1")
    tracker.finish("finished")


def test_a_server_that_does_not_answer_is_named_at_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(InputError, match=r"does not answer at http://127.0.0.1:9"):
        MlflowTracker("http://127.0.0.1:9", None, pytest.fail)


def test_a_deleted_experiment_is_named_with_its_remedy(
    tmp_path: Path, mlflow_database: Path, run: TrackedRun
) -> None:
    shutil.copy(mlflow_database, tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    _tracker(uri, tmp_path).start(run)
    client = MlflowClient(uri)
    found = client.get_experiment_by_name("zppo")
    assert found is not None
    client.delete_experiment(found.experiment_id)
    with pytest.raises(InputError, match="was deleted; restore it"):
        _tracker(uri, tmp_path).start(run)


def test_nothing_is_said_on_the_terminal_and_importing_costs_nothing(tmp_path: Path) -> None:
    script = f"""
import sys
from datetime import UTC, datetime
from pathlib import Path
from zppo.tracking.mlflow import MlflowTracker
from zppo.ports import TrackedRun
assert "mlflow" not in sys.modules
home = Path({str(tmp_path)!r})
tracker = MlflowTracker(f"sqlite:///{{home}}/mlflow.db", home / "mlartifacts", print)
tracker.start(TrackedRun("a", "k", {{}}))
tracker.log_round(1, {{"x": 1.0}}, datetime.now(UTC))
tracker.finish("finished")
"""
    result = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert {path.name for path in tmp_path.iterdir()} <= {"mlflow.db", "mlartifacts"}
