"""One run that SIGKILL, SIGTERM and Ctrl-C stop in turn, and that goes on each time."""

import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.flows.conftest import Commanded
from tests.flows.prefect_records import flow_runs, task_runs
from tests.pipelines import NAME, ROUNDS, differences, results, start, tracked, zppo
from zppo.layout import RunPaths

pytestmark = pytest.mark.timeout(600)

PATHS = RunPaths(NAME)
WAIT_SECONDS = 120


@dataclass(frozen=True)
class Stop:
    """How a process ended that a signal stopped."""

    code: int
    errors: str
    survivors: list[psutil.Process]
    """Its children that are still there a few seconds later."""
    mlflow: str
    """Status of the MLflow run."""
    flow_runs: list[tuple[str, ...]]


@dataclass(frozen=True)
class Story:
    """What happened to the run."""

    home: Path
    killed: Stop
    terminated: Stop
    interrupted: Stop
    last: "subprocess.CompletedProcess[str]"


def wait_for(process: "subprocess.Popen[str]", path: Path) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, path
        time.sleep(0.005)


def stop(
    process: "subprocess.Popen[str]", home: Path, committed: str, number: int, group: bool, run: str = NAME
) -> Stop:
    """Send a signal once a path is committed."""
    wait_for(process, home / committed)
    children = psutil.Process(process.pid).children(recursive=True)
    assert children, "a Prefect server of its own"
    (os.killpg if group else os.kill)(process.pid, number)
    _, errors = process.communicate(timeout=WAIT_SECONDS)
    _, survivors = psutil.wait_procs(children, timeout=20)
    return Stop(process.returncode, errors, survivors, tracked(home)[f"run {run}"], flow_runs(home))


@pytest.fixture(scope="module")
def story(finished: Commanded, tmp_path_factory: pytest.TempPathFactory) -> Story:
    home = tmp_path_factory.mktemp("stopped") / "runs"
    first = start("run", str(finished.recipe), home=home)
    killed = stop(first, home, PATHS.collect(1), signal.SIGKILL, group=True)
    second = start("resume", NAME, home=home)
    terminated = stop(second, home, PATHS.collect(2), signal.SIGTERM, group=False)
    third = start("run", str(finished.recipe), home=home)
    interrupted = stop(third, home, PATHS.update(3), signal.SIGINT, group=True)
    return Story(home, killed, terminated, interrupted, zppo("resume", NAME, home=home))


def test_after_sigkill_no_server_stays_behind(story: Story) -> None:
    assert story.killed.code == -signal.SIGKILL
    assert story.killed.survivors == []


def test_sigterm_stops_at_a_commit_with_code_143_and_says_how_to_go_on(story: Story) -> None:
    stopped = story.terminated
    assert (stopped.code, stopped.survivors) == (143, [])
    assert stopped.errors == f"\nstopped; go on with: zppo resume {NAME} --home {story.home}\n"
    assert stopped.mlflow == "KILLED"
    assert stopped.flow_runs[-1] == (NAME, "CRASHED")


def test_ctrl_c_stops_at_a_commit_with_code_130_and_says_how_to_go_on(story: Story) -> None:
    stopped = story.interrupted
    assert (stopped.code, stopped.survivors) == (130, [])
    assert stopped.errors == f"\nstopped; go on with: zppo resume {NAME} --home {story.home}\n"
    assert stopped.mlflow == "KILLED"
    assert stopped.flow_runs[-1] == (NAME, "CRASHED")


def test_prefect_shows_how_each_process_ended(story: Story) -> None:
    assert [state for _, state in flow_runs(story.home)] == ["CRASHED", "CRASHED", "CRASHED", "COMPLETED"]


def test_a_resumed_run_says_where_it_goes_on(story: Story) -> None:
    assert story.last.returncode == 0
    assert story.last.stderr == ""
    first = story.last.stdout.splitlines()[1]
    assert re.fullmatch(rf"{NAME}: reuses data, teacher pool and rounds 1 to \d; goes on with .*", first)


def test_a_run_stopped_in_three_ways_ends_as_one_that_was_not(story: Story, finished: Commanded) -> None:
    assert differences(results(story.home), results(finished.home)) == []


def test_prefect_shows_each_round_as_done_once_however_often_the_run_stopped(story: Story) -> None:
    done = [name for name, state in task_runs(story.home) if state == "COMPLETED"]
    for index in range(1, ROUNDS + 1):
        for task in ("collect", "update"):
            assert f"{task} {index}" in done
