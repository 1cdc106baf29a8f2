"""A run whose Prefect server is killed under it: its own, and one that it was given."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.flows.prefect_records import flow_runs, task_runs
from tests.mlflow_servers import free_port
from tests.pipelines import NAME, ROUNDS, start, write_recipe
from tests.prefect_servers import given_server, servers_of
from zppo.layout import RunPaths
from zppo.stages.train import committed_rounds
from zppo.stores.local import MANIFEST, LocalStore

pytestmark = pytest.mark.timeout(600)

PATHS = RunPaths(NAME)
LONG = 300
IMPATIENT = {"PREFECT_CLIENT_MAX_RETRIES": "2"}


@pytest.fixture
def home(tmp_path: Path, mlflow_database: Path, prefect_database: Path) -> Path:
    home = tmp_path / "runs"
    (home / "prefect").mkdir(parents=True)
    shutil.copy(mlflow_database, home / "mlflow.db")
    shutil.copy(prefect_database, home / "prefect" / "prefect.db")
    return home


def _wait_for(process: "subprocess.Popen[str]", committed: Path) -> None:
    while not (committed / MANIFEST).exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def _states_of_rounds(home: Path) -> set[str]:
    return {state for name, state in task_runs(home) if name.startswith(("collect", "update"))}


def test_a_run_whose_own_server_died_starts_it_again_and_comes_to_its_end(tmp_path: Path, home: Path) -> None:
    run = start("run", str(write_recipe(tmp_path)), home=home)
    _wait_for(run, home / PATHS.collect(1))
    (server,) = servers_of(run.pid)
    server.kill()
    said, errors = run.communicate(timeout=LONG)
    assert (run.returncode, errors) == (0, "")
    told = "the Prefect server was ended by SIGKILL; it was started again, and the run goes on"
    assert said.count(told) == 1
    assert flow_runs(home) == [(NAME, "COMPLETED")]
    assert _states_of_rounds(home) == {"COMPLETED"}


@pytest.mark.deploy
def test_a_run_whose_own_server_keeps_dying_stops_at_a_commit_with_what_to_do(
    tmp_path: Path, home: Path
) -> None:
    recipe = str(write_recipe(tmp_path))
    run = start("run", recipe, "--set", "rounds=500", home=home, environment=IMPATIENT)
    _wait_for(run, home / PATHS.collect(1))
    while run.poll() is None:
        for server in servers_of(run.pid):
            server.kill()
        time.sleep(0.1)
    _, errors = run.communicate(timeout=LONG)
    assert run.returncode == 1
    assert errors.startswith("zppo: the Prefect server ")
    assert "Traceback" not in errors
    done = committed_rounds(LocalStore(home), PATHS)
    assert errors.endswith(
        f"{done} of 500 rounds of {NAME} are committed; go on with: zppo resume {NAME} --home {home}\n"
    )


@pytest.mark.deploy
def test_a_run_goes_on_while_a_given_server_is_away_and_shows_all_of_it_once_it_is_back(
    tmp_path: Path, home: Path
) -> None:
    port = free_port()
    with given_server(home, port) as given:
        run = start("run", str(write_recipe(tmp_path)), home=home, environment={"PREFECT_API_URL": given})
        _wait_for(run, home / PATHS.collect(1))
    _wait_for(run, home / PATHS.update(4))
    with given_server(home, port):
        said, errors = run.communicate(timeout=LONG)
    assert (run.returncode, errors) == (0, "")
    assert f"Prefect does not answer at http://127.0.0.1:{port}/api; the run goes on without it" in said
    assert flow_runs(home) == [(NAME, "COMPLETED")]
    assert _states_of_rounds(home) == {"COMPLETED"}


@pytest.mark.deploy
def test_a_run_whose_given_server_stays_away_ends_with_what_to_do_and_a_resume_completes_it(
    tmp_path: Path, home: Path
) -> None:
    port = free_port()
    with given_server(home, port) as given:
        run = start(
            "run", str(write_recipe(tmp_path)), home=home, environment=IMPATIENT | {"PREFECT_API_URL": given}
        )
        _wait_for(run, home / PATHS.collect(2))
    _, errors = run.communicate(timeout=LONG)
    assert run.returncode == 1
    assert errors.startswith(f"zppo: the Prefect server at http://127.0.0.1:{port}/api does not answer")
    assert f"{ROUNDS} of {ROUNDS} rounds of {NAME} are committed; go on with: zppo resume {NAME}" in errors
    assert "Traceback" not in errors
    with given_server(home, port) as given:
        again = start("resume", NAME, home=home, environment={"PREFECT_API_URL": given})
        _, errors = again.communicate(timeout=LONG)
    assert (again.returncode, errors) == (0, "")
    assert [state for _, state in flow_runs(home)] == ["CRASHED", "COMPLETED"]
    assert not {"RUNNING", "PENDING"} & {state for _, state in task_runs(home)}


def test_a_given_server_that_is_not_there_is_named_before_anything_is_computed(
    tmp_path: Path, home: Path
) -> None:
    address = f"http://127.0.0.1:{free_port()}/api"
    run = start("run", str(write_recipe(tmp_path)), home=home, environment={"PREFECT_API_URL": address})
    _, errors = run.communicate(timeout=LONG)
    assert run.returncode == 1
    assert errors.startswith(f"zppo: the Prefect server at {address} does not answer")
    assert "Traceback" not in errors
    assert not (home / "store" / "prepare").exists()
