"""The clock is set back by a day in the middle of a run: of the whole process, by a shim under its libc."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from tests.faults.conftest import Finished
from tests.pipelines import NAME, ROOT, ROUNDS, differences, results
from zppo.layout import RunPaths
from zppo.stores.local import MANIFEST, LocalStore

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform != "linux" or shutil.which("cc") is None, reason="needs a C compiler"),
]

PATHS = RunPaths(NAME)
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static time_t shift(void) { return access(getenv("CLOCK_SET_BACK"), F_OK) ? 0 : -86400; }

int clock_gettime(clockid_t clock, struct timespec *now) {
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += shift();
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    int (*real)(struct timeval *, void *) = dlsym(RTLD_NEXT, "gettimeofday");
    int failed = real(now, zone);
    if (!failed) now->tv_sec += shift();
    return failed;
}

time_t time(time_t *out) {
    time_t (*real)(time_t *) = dlsym(RTLD_NEXT, "time");
    time_t now = real(NULL) + shift();
    if (out) *out = now;
    return now;
}
"""
PROGRAM = """
import sys
from pathlib import Path
from zppo.environment import prepare_environment
home = Path(sys.argv[1])
prepare_environment(home)
from tests.pipelines import recipe, run_without_prefect
run_without_prefect(recipe(home), home)
"""


@pytest.fixture(scope="module")
def set_back(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> Path:
    """The home of a run whose clock went back by a day when its second round was committed."""
    tools, home = tmp_path_factory.mktemp("shim"), tmp_path_factory.mktemp("clock")
    (tools / "shim.c").write_text(SHIM)
    shim, mark = tools / "shim.so", tools / "back"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", shim, tools / "shim.c", "-ldl"], check=True)
    shutil.copy(mlflow_database, home / "mlflow.db")
    shifted = {"LD_PRELOAD": str(shim), "CLOCK_SET_BACK": str(mark)}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(home)],
        cwd=ROOT, env={**os.environ, **shifted, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not (home / PATHS.update(2) / MANIFEST).exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    mark.touch()
    _, errors = process.communicate(timeout=250)
    assert process.returncode == 0, errors
    return home


def _created(home: Path, index: int) -> datetime:
    manifest = LocalStore(home).read(PATHS.update(index))
    assert manifest is not None
    return manifest.provenance.created


def test_the_clock_did_go_back(set_back: Path) -> None:
    assert (_created(set_back, 2) - _created(set_back, ROUNDS)).total_seconds() > 80_000


def test_a_clock_that_is_set_back_changes_no_result_and_no_step(
    set_back: Path, undisturbed: Finished
) -> None:
    assert differences(results(set_back), undisturbed.results) == []
    assert list((set_back / "tmp").iterdir()) == []


def test_mlflow_shows_the_last_round_as_the_last_one(set_back: Path) -> None:
    with closing(sqlite3.connect(set_back / "mlflow.db")) as database:
        latest = database.execute("select step, value from latest_metrics where key = 'round'").fetchall()
    assert latest == [(ROUNDS, float(ROUNDS))]


def test_no_duration_is_negative(set_back: Path) -> None:
    timings = [json.loads(file.read_text()) for file in set_back.rglob("timings.json")]
    manifests = [json.loads(file.read_text())["manifest"] for file in set_back.rglob(MANIFEST)]
    seconds = [value for each in timings for value in each["seconds"].values()]
    seconds += [each["provenance"]["seconds"] for each in manifests]
    assert len(timings) == 2 * ROUNDS, "of collecting, and of the whole round"
    assert min(seconds) >= 0.0
