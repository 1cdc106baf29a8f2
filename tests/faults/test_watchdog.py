"""Sampling that never ends: the watchdog ends the process, says why, and the run goes on to the bit."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.conftest import Finished
from tests.pipelines import NAME, ROOT, differences, results

pytestmark = pytest.mark.timeout(300)

HANG = """
import ctypes, os, signal, sys, time
from functools import partial
from pathlib import Path
from zppo.environment import prepare_environment
prepare_environment(Path(sys.argv[1]))
import flows.stopping, zppo.engines.transformers, zppo.watchdog.guard
from schemas.config.run import Runtime
from tests import pipelines
from zppo.layout import RunPaths
from zppo.stores.local import MANIFEST

decode = zppo.engines.transformers.Decoder.decode
zppo.watchdog.guard.GRACE_SECONDS, flows.stopping.PATIENCE_SECONDS = 3.0, 1.0

def sleep(home):
    while True:
        time.sleep(1.0)

def sleep_with_the_interpreters_lock(home):
    signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
    ctypes.PyDLL(None).sleep(10**6)

def live(home, hang):
    begun, done = (home / path / MANIFEST for path in (PATHS.update(2), PATHS.collect(3)))
    def decode_or_hang(*arguments):
        if hang and begun.exists() and not done.exists():
            hang(home)
        return decode(*arguments)
    zppo.engines.transformers.Decoder.decode = decode_or_hang
    pipelines.Runtime = partial(Runtime, generation_timeout_seconds=2.0)
    pipelines.run_without_prefect(pipelines.recipe(home), home)

PATHS = RunPaths(pipelines.NAME)
for home, hang in zip(sys.argv[1:], (sleep, sleep_with_the_interpreters_lock), strict=True):
    for life in (hang, None):
        child = os.fork()
        if child == 0:
            output = os.open(f"{home}/{'hung' if life else 'resumed'}", os.O_WRONLY | os.O_CREAT)
            os.dup2(output, 1)
            os.dup2(output, 2)
            live(Path(home), life)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@dataclass(frozen=True)
class Hung:
    """A run whose sampling hung in round 3, and that was then resumed."""

    home: Path
    codes: tuple[int, int]
    """Exit codes of the hanging process and of the next one."""

    def said(self, life: str) -> str:
        """What a process printed."""
        return (self.home / life).read_text()


@pytest.fixture(scope="module")
def hung(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> tuple[Hung, Hung]:
    """Hung in Python, and in native code that blocks signals and lets no Python run."""
    homes = [tmp_path_factory.mktemp(name) for name in ("python", "native")]
    for home in homes:
        shutil.copy(mlflow_database, home / "mlflow.db")
    done = _python(HANG, *map(str, homes))
    assert done.returncode == 0, done.stderr
    codes = [int(line) for line in done.stdout.split()]
    return Hung(homes[0], (codes[0], codes[1])), Hung(homes[1], (codes[2], codes[3]))


@pytest.fixture(params=[0, 1], ids=["python", "native"])
def each(hung: tuple[Hung, Hung], request: pytest.FixtureRequest) -> Hung:
    return hung[request.param]


def _python(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_hang_ends_the_process_even_in_native_code_that_lets_no_python_run(
    hung: tuple[Hung, Hung],
) -> None:
    assert [each.codes for each in hung] == [(-signal.SIGTERM, 0), (-signal.SIGKILL, 0)]


def test_a_hang_is_reported_with_its_round_its_requests_and_its_stacks(each: Hung) -> None:
    said = each.said("hung")
    assert (
        "the watchdog ends the run: sampling of round 3 (collect > student) made no progress for 2 s" in said
    )
    assert re.search(rf"run {NAME}, process \d+ on ", said)
    assert re.search(r"\d requests in flight: r3/chains-\S+/plain, r3/", said)
    assert "most recent call first" in said
    assert "in decode_or_hang" in said
    assert (each.home / NAME / "hang-told.txt").read_text() in said


def test_the_next_process_says_in_one_line_what_happened(each: Hung) -> None:
    lines = [line for line in each.said("resumed").splitlines() if "watchdog" in line]
    assert lines == [
        "the last process was ended by the watchdog: sampling of round 3 (collect > student) made no "
        f"progress for 2 s; stacks in {each.home / NAME / 'hang-told.txt'}"
    ]
    assert "goes on with round 3" in each.said("resumed")


def test_a_run_that_hung_ends_as_one_that_did_not(each: Hung, undisturbed: Finished) -> None:
    found = results(each.home)
    del found[f"{NAME}/hang-told.txt"]
    assert differences(found, undisturbed.results) == []


WATCHED = """
import os, signal, sys, time
from pathlib import Path
from zppo.watchdog.guard import Watchdog

with Watchdog("a", Path(sys.argv[1]), float(sys.argv[2])) as watchdog:
    with watchdog.watching(["r1/q"]):
        print(watchdog._process.pid, flush=True)
        {}
    print("done")
"""


@pytest.fixture
def watched(tmp_path: Path) -> Iterator["Watched"]:
    started = Watched(tmp_path)
    yield started
    for process in started.processes:
        process.kill()
        process.communicate()


class Watched:
    """Starts programs whose sampling is watched, with a limit of a second."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, sampling: str) -> tuple["subprocess.Popen[str]", int]:
        """The process, and the id of the one that watches it."""
        program = WATCHED.format(sampling)
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(self._directory), "1.0"],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.processes.append(process)
        assert process.stdout is not None
        return process, int(process.stdout.readline())


def test_a_process_that_is_stopped_while_it_samples_is_no_hang(watched: Watched) -> None:
    process, _ = watched.start("os.kill(os.getpid(), signal.SIGSTOP)")
    time.sleep(3.0)
    assert process.poll() is None
    process.send_signal(signal.SIGCONT)
    assert process.communicate() == ("done\n", "")


def test_slow_sampling_that_makes_progress_is_no_hang(watched: Watched) -> None:
    process, _ = watched.start("[(time.sleep(0.1), watchdog._beat()) for _ in range(25)]")
    assert process.communicate() == ("done\n", "")


def test_nothing_is_watched_between_two_samplings(watched: Watched) -> None:
    process, _ = watched.start("pass\n    time.sleep(2.5)")
    assert process.communicate() == ("done\n", "")


def test_the_watching_process_goes_with_the_watched_one(watched: Watched) -> None:
    process, watcher = watched.start("time.sleep(60)")
    process.kill()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{watcher}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_watching_process_that_died_is_replaced_at_the_next_sampling(watched: Watched) -> None:
    process, _ = watched.start(
        "os.kill(watchdog._process.pid, signal.SIGKILL)\n    watchdog._process.wait()\n"
        "    with watchdog.watching(['r1/p']):\n        time.sleep(60)"
    )
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGTERM
    assert "1 requests in flight: r1/p" in errors
