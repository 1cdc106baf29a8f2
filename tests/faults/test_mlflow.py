"""A run whose MLflow server is killed: for a while, for good, or before it began."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.mlflow_servers import free_port, mlflow_server
from tests.pipelines import NAME, ROOT, ROUNDS, tracked
from zppo.layout import RunPaths
from zppo.stages.train import committed_rounds
from zppo.stores.local import MANIFEST, LocalStore

pytestmark = pytest.mark.deploy

PATHS = RunPaths(NAME)
PROGRAM = """
import sys
from pathlib import Path
from zppo.environment import prepare_environment

home = Path(sys.argv[1])
prepare_environment(home)
import flows.pipeline
from tests.pipelines import recipe, run_without_prefect
from zppo.errors import ZppoError

flows.pipeline.watch_for_cancel = lambda: lambda: None
try:
    run_without_prefect(recipe(home), home)
except ZppoError as error:
    sys.exit(f"zppo: {error}")
"""


def _start(home: Path, port: int) -> "subprocess.Popen[str]":
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "MLFLOW_"))}
    tracker = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}"}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(home)],
        cwd=ROOT, env=kept | tracker | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def _wait_for(process: "subprocess.Popen[str]", committed: Path) -> None:
    while not (committed / MANIFEST).exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


@pytest.fixture
def home(tmp_path: Path, mlflow_database: Path) -> Path:
    shutil.copy(mlflow_database, tmp_path / "mlflow.db")
    return tmp_path


def _every_round_once(home: Path) -> None:
    shown = tracked(home)
    rounds = [f"metric round at {index}" for index in range(1, ROUNDS + 1)]
    assert [name for name in sorted(shown) if name.startswith("metric round at ")] == rounds
    assert not [name for name in shown if " times " in name]
    assert shown[f"run {NAME}"] == "FINISHED"


def test_a_server_that_comes_back_shows_every_round_once_and_the_run_never_stopped(home: Path) -> None:
    port = free_port()
    with mlflow_server(home, port):
        run = _start(home, port)
        _wait_for(run, home / PATHS.update(1))
    _wait_for(run, home / PATHS.update(3))
    run.send_signal(signal.SIGSTOP)  # the server needs longer to start than the rounds that are left
    with mlflow_server(home, port):
        run.send_signal(signal.SIGCONT)
        said, errors = run.communicate(timeout=200)
    assert (run.returncode, errors) == (0, "")
    assert len(re.findall("MLflow does not take round", said)) == 1
    assert len(re.findall("MLflow answers again; all rounds are delivered", said)) == 1
    _every_round_once(home)


def test_a_server_that_stays_away_stops_the_run_after_its_training_and_a_resume_completes_it(
    home: Path,
) -> None:
    port = free_port()
    with mlflow_server(home, port):
        run = _start(home, port)
        _wait_for(run, home / PATHS.update(2))
    _, errors = run.communicate(timeout=200)
    assert run.returncode == 1
    assert "MLflow failed while recording the evaluation" in errors
    assert "once it answers again, run the same command again" in errors
    assert "Traceback" not in errors
    assert committed_rounds(LocalStore(home), PATHS) == ROUNDS
    with mlflow_server(home, port):
        again = _start(home, port)
        _, errors = again.communicate(timeout=200)
    assert (again.returncode, errors) == (0, "")
    _every_round_once(home)


def test_rounds_that_a_killed_process_could_not_deliver_are_delivered_by_the_next_one(home: Path) -> None:
    port = free_port()
    with mlflow_server(home, port):
        run = _start(home, port)
        _wait_for(run, home / PATHS.update(1))
    _wait_for(run, home / PATHS.update(3))
    run.kill()
    run.communicate()
    with mlflow_server(home, port):
        again = _start(home, port)
        _, errors = again.communicate(timeout=200)
    assert (again.returncode, errors) == (0, "")
    _every_round_once(home)


def test_a_server_that_is_not_there_at_the_start_is_named_before_anything_is_computed(home: Path) -> None:
    port = free_port()
    run = _start(home, port)
    _, errors = run.communicate(timeout=200)
    assert run.returncode == 1
    assert errors.startswith(f"zppo: MLflow does not answer at http://127.0.0.1:{port}")
    assert "Start it, or unset MLFLOW_TRACKING_URI" in errors
    assert not (home / "store" / "prepare").exists()
