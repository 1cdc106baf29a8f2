"""One full run by the command, its process group killed many times."""

import os
import random
import shutil
import signal
import time
from pathlib import Path

from tests.pipelines import first_difference, results, start, zppo

KILLS = 20
ROUNDS = 80
RECIPE = "pocket"
NAME = "full"
AGE = 12.0
"""Seconds within which a life is killed once it has come to its round: about as long as a start takes."""
TIMEOUT = 3600
POLL = 0.01


def kill_a_full_run(home: Path, seed: str) -> str | None:
    """Run the pocket recipe undisturbed and killed `KILLS` times; the first difference, or None.

    Each life is to come to a random round and to live a random time, whichever is later, so that kills hit
    starts, rounds and the stages before and after them. The servers of a run are its own and die with it.
    """
    draws = random.Random(seed)
    rounds = sorted(draws.randrange(ROUNDS + 1) for _ in range(KILLS))
    ages = [draws.uniform(0.0, AGE) for _ in range(KILLS)]
    expected, disturbed = home / "undisturbed", home / "killed"
    for each in (expected, disturbed):
        each.mkdir()
        shutil.copy(home / "mlflow.db", each / "mlflow.db")
    for number, (target, age) in enumerate(zip(rounds, ages, strict=True), start=1):
        if not _killed(disturbed, target, age):
            return f"the life to be killed by kill {number} of {KILLS} ended on its own"
    for each in (disturbed, expected):
        done = zppo("run", RECIPE, "--name", NAME, home=each, timeout=TIMEOUT)
        if done.returncode != 0:
            return f"the run in {each} failed:\n{done.stderr}"
    return first_difference(results(disturbed, NAME), results(expected, NAME))


def _killed(home: Path, target: int, age: float) -> bool:
    """Start the run, kill its group once it is so old and so far; whether it had not ended before."""
    with (home / "output.txt").open("a") as output:
        process = start("run", RECIPE, "--name", NAME, home=home, output=output)
    began = time.monotonic()
    while process.poll() is None and not (_committed(home) >= target and time.monotonic() - began >= age):
        time.sleep(POLL)
    if process.poll() is not None:
        return False
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return True


def _committed(home: Path) -> int:
    return sum(1 for _ in (home / NAME / "rounds").glob("*/update/manifest.json"))
