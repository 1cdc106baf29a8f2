"""A deployed run whose process is killed: its worker says so, and Prefect's retry goes on with it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from tests.faults.conftest import Finished
from tests.flows.prefect_records import task_runs
from tests.pipelines import NAME, ROOT, differences, recipe, results
from tests.prefect_servers import given_server
from zppo.layout import RunPaths
from zppo.stores.local import MANIFEST

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(900)]

PATHS = RunPaths(NAME)
POOL = "local"
LONG = 300
DEPLOY = f"""
from flows.pipeline import pipeline

deployed = pipeline.from_source(source={str(ROOT)!r}, entrypoint="flows/pipeline.py:pipeline")
print(deployed.deploy(name="tiny", work_pool_name={POOL!r}, print_next_steps=False))
"""


@dataclass(frozen=True)
class Retried:
    """A deployed run that was killed once."""

    home: Path
    after_kill: str
    """State of the flow run once its process was dead."""
    after_retry: str
    said: str
    """What the worker and both processes of the run printed."""


def _settings(home: Path, api: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "MLFLOW_"))}
    return kept | {
        "PREFECT_API_URL": api,
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "OMP_NUM_THREADS": "1",
    }


def _prefect(*arguments: str, settings: Mapping[str, str]) -> None:
    command = [sys.executable, "-m", "prefect", "--no-prompt", *arguments]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def _worker(settings: Mapping[str, str], log: Path) -> Iterator[psutil.Process]:
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process"]
    with log.open("w") as output:
        process = subprocess.Popen(
            command, env=settings, cwd=log.parent, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield psutil.Process(process.pid)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _deploy(settings: Mapping[str, str]) -> str:
    """Deploy the pipeline on a pool of processes; the deployment's id."""
    _prefect("work-pool", "create", POOL, "--type", "process", settings=settings)
    done = subprocess.run(
        [sys.executable, "-c", DEPLOY], cwd=ROOT, env=settings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.split()[-1]


def _state(api: str, flow_run: str) -> str:
    return str(httpx.get(f"{api}/flow_runs/{flow_run}").json()["state"]["type"])


def _wait_for_state(api: str, flow_run: str, *states: str) -> str:
    deadline = time.monotonic() + LONG
    while (state := _state(api, flow_run)) not in states:
        assert time.monotonic() < deadline, state
        time.sleep(0.5)
    return state


def _kill_in_the_middle_of_a_round(worker: psutil.Process, home: Path) -> None:
    deadline = time.monotonic() + LONG
    while not (home / PATHS.collect(2) / MANIFEST).exists():
        assert time.monotonic() < deadline, "the run does not come to its second round"
        time.sleep(0.01)
    (flow_process,) = worker.children()
    flow_process.kill()


@pytest.fixture(scope="module")
def retried(
    tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path, prefect_database: Path
) -> Retried:
    home = tmp_path_factory.mktemp("deployed")
    (home / "prefect").mkdir()
    (home / "mlflow.db").write_bytes(mlflow_database.read_bytes())
    (home / "prefect" / "prefect.db").write_bytes(prefect_database.read_bytes())
    log = tmp_path_factory.mktemp("worker") / "worker.txt"
    config = recipe(log.parent).model_dump(mode="json")
    parameters = {"config": config, "name": NAME, "runtime": {"home": str(home), "threads": 1}}
    with given_server(home) as api:
        settings = _settings(home, api)
        deployment = _deploy(settings)
        created = httpx.post(
            f"{api}/deployments/{deployment}/create_flow_run",
            json={"parameters": parameters, "state": {"type": "SCHEDULED"}},
        ).json()
        with _worker(settings, log) as worker:
            _kill_in_the_middle_of_a_round(worker, home)
            after_kill = _wait_for_state(api, created["id"], "CRASHED", "FAILED", "COMPLETED")
            _prefect("flow-run", "retry", created["id"], settings=settings)
            ends = _wait_for_state(api, created["id"], "COMPLETED", "FAILED")
        time.sleep(2)  # the server writes the last events of tasks in the background
    return Retried(home, after_kill, ends, log.read_text())


def test_the_worker_reports_a_killed_run_as_crashed_and_its_retry_completes(retried: Retried) -> None:
    assert (retried.after_kill, retried.after_retry) == ("CRASHED", "COMPLETED"), retried.said


def test_the_retry_says_in_one_line_what_it_reuses_and_where_it_goes_on(retried: Retried) -> None:
    lines = [line for line in retried.said.splitlines() if line.startswith(f"{NAME}: reuses")]
    assert lines == [f"{NAME}: reuses data, teacher pool and round 1; goes on with the update of round 2"]


def test_a_run_that_was_killed_and_retried_ends_as_one_that_was_not(
    retried: Retried, undisturbed: Finished
) -> None:
    assert differences(results(retried.home), undisturbed.results) == []


def test_no_task_of_the_killed_try_is_left_running(retried: Retried) -> None:
    # The kill may come between two tasks, or before the server heard of one.
    assert {state for _, state in task_runs(retried.home)} - {"CRASHED"} == {"COMPLETED"}
