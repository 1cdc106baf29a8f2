"""A run that is cancelled on Prefect's page, with no worker to pass it on."""

from pathlib import Path

import httpx
import psutil
import pytest

from tests.flows.prefect_records import flow_runs
from tests.flows.test_stops import wait_for
from tests.pipelines import NAME, start, write_recipe
from zppo.layout import RunPaths
from zppo.runs import status

pytestmark = pytest.mark.timeout(600)


def server_of(process: int) -> str:
    """Address of the Prefect server that a run has started."""
    for child in psutil.Process(process).children(recursive=True):
        words = child.cmdline()
        if "--port" in words:
            return f"http://127.0.0.1:{words[words.index('--port') + 1]}/api"
    raise AssertionError("no server")


def test_a_cancelled_run_stops_at_a_commit_and_prefect_shows_it_as_cancelled(tmp_path: Path) -> None:
    home = tmp_path / "runs"
    process = start("run", str(write_recipe(tmp_path)), "--set", "rounds=500", home=home)
    try:
        wait_for(process, home / RunPaths(NAME).update(1))
        with httpx.Client(base_url=server_of(process.pid), timeout=120) as prefect:
            (found,) = prefect.post("/flow_runs/filter", json={}).json()
            cancel = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
            answer = prefect.post(f"/flow_runs/{found['id']}/set_state", json=cancel).json()
        assert answer["status"] == "ACCEPT"
        _, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 143
    assert f"stopped; go on with: zppo resume {NAME}" in errors
    assert [run[1] for run in flow_runs(home)] == ["CANCELLED"]
    assert status(home, NAME).state == "stopped"
