"""The run that nothing disturbed: what every disturbed one must come to."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults import lives
from tests.pipelines import ROOT, results


@dataclass(frozen=True)
class Finished:
    """A run that came to its end."""

    home: Path
    lives: list[list[str]]
    """The points that each process passed."""
    results: dict[str, str]


Live = Callable[[Sequence[int | str]], Finished]


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> Iterator[Live]:
    """Runs the pipeline in a fresh home, its processes killed at the points of a plan, until it is done."""
    driver = subprocess.Popen(
        [sys.executable, "-m", lives.__name__, str(tmp_path_factory.mktemp("tools"))],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert driver.stdin is not None
    assert driver.stdout is not None
    requests, answers = driver.stdin, driver.stdout

    def run(plan: Sequence[int | str]) -> Finished:
        home = tmp_path_factory.mktemp("home")
        (home / "mlflow.db").write_bytes(mlflow_database.read_bytes())
        print(json.dumps([str(home), list(plan)]), file=requests, flush=True)
        answer = answers.readline()
        assert answer, "a process failed; its error is above"
        return Finished(home, json.loads(answer), results(home))

    yield run
    requests.close()
    driver.wait(timeout=30)


@pytest.fixture(scope="session")
def undisturbed(live: Live) -> Finished:
    """A run in one process from its beginning to its end."""
    return live(())
