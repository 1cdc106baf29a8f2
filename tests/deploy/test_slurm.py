"""The Slurm job as a plain process: its worker is there, comes back when it dies, and ends with the job."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.deploy.compose import FOLDER
from tests.deploy.installation import Installation
from tests.deploy.waiting import LONG, wait_for

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(1200)]
NAME = "job"


@dataclass(frozen=True)
class Job:
    """A running job."""

    place: Installation
    process: "subprocess.Popen[bytes]"
    log: Path

    def worker(self) -> psutil.Process | None:
        """Its worker's process, once the server knows the worker."""
        known = self.place.ask("work_pools/gpu/workers/filter", {})
        if not any(each["name"] == f"{NAME}-0" and each["status"] == "ONLINE" for each in known):
            return None
        children = psutil.Process(self.process.pid).children()
        return next((each for each in children if "worker" in each.cmdline()), None)


@pytest.fixture
def job(place: Installation, tmp_path: Path) -> Iterator[Job]:
    """The script, as Slurm starts it, but without a job number: nothing is there to requeue it."""
    settings = {**place.settings, "ZPPO_VENV": sys.prefix, "SLURM_JOB_NAME": NAME, "TMPDIR": str(tmp_path)}
    with (tmp_path / "job.txt").open("wb") as output:
        process = subprocess.Popen(
            ["bash", str(FOLDER / "slurm" / "gpu-worker.sbatch")],
            env=settings, stdout=output, stderr=output, cwd=tmp_path,
        )  # fmt: skip
    yield Job(place, process, tmp_path / "job.txt")
    if process.poll() is None:
        for each in [*psutil.Process(process.pid).children(recursive=True), process]:
            each.kill()
        process.wait()


def test_a_worker_that_dies_is_started_again_and_one_that_is_asked_to_ends_with_the_job(job: Job) -> None:
    first = wait_for("the worker", job.worker)
    first.kill()
    second = wait_for("another worker", lambda: _other(job, first.pid))
    wait_for("it to be ready", lambda: job.log.read_text().count(" started!") == 2 or None)
    os.kill(job.process.pid, signal.SIGTERM)
    assert job.process.wait(LONG) == 0
    assert not second.is_running()


def _other(job: Job, pid: int) -> psutil.Process | None:
    found = job.worker()
    return found if found is not None and found.pid != pid else None
