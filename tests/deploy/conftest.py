"""One installation for all tests that leave it well, and two runs that were trained in it."""

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.chromium import chromium
from tests.deploy.composed import Composed, composed
from tests.deploy.installation import Installation, installed
from tests.deploy.nights import Night, spend_night
from tests.deploy.waiting import LONG
from tests.pipelines import RECIPE

SHORT = {
    **RECIPE,
    "rounds": 1,
    "teacher": {"type": "none"},
    "method": {"type": "grpo", "group_size": 4, "iterations": 2},
    "promotion": {"registered_model": "shop"},
}
WEAK = {**SHORT, "promotion": {"registered_model": "shop", "min_gain": 0.9}}
STRONG = {**SHORT, "student": {"model": "pocket/teacher", "templates": "pocket"}}
AUTOMATIONS = ("failed-evaluation", "promotion-waiting", "promote-evaluated")


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Let workers inherit what ends them, also where a shell has started the tests in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True)
class Trained:
    """Two runs that were to be trained at the same time, in a pool with one GPU."""

    place: Installation
    seen: list[tuple[str, str]]
    """The types of the two flow runs' states, time and again until both were over."""
    ended: list[Any]
    """Their last states."""


def seen_together(place: Installation, flow_runs: list[str]) -> list[tuple[str, str]]:
    """The types of two flow runs' states, time and again until both are over."""
    seen: list[tuple[str, str]] = []
    end = time.monotonic() + LONG
    while time.monotonic() < end:
        first, second = (place.state_of(each)["type"] for each in flow_runs)
        seen.append((first, second))
        if {first, second} <= {"COMPLETED", "FAILED", "CRASHED"}:
            break
        time.sleep(0.3)
    return seen


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> Iterator[Installation]:
    """Everything deployed by `make deploy`, automations switched on, a worker in each pool."""
    home, logs = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("logs")
    (home / "mlflow.db").write_bytes(mlflow_database.read_bytes())
    with installed(home, logs) as place:
        for automation in AUTOMATIONS:
            place.switch_on(f"zppo-{automation}")
        place.start_worker("cpu")
        place.start_worker("gpu")
        yield place


@pytest.fixture(scope="session")
def compose_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    """What `compose.yaml` says, without its workers."""
    with composed(tmp_path_factory.mktemp("compose"), tmp_path_factory.mktemp("compose-logs")) as place:
        yield place


@pytest.fixture(scope="session")
def compose_night(compose_place: Composed) -> Night:
    """A night of it."""
    return spend_night(compose_place)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    with chromium("test-deploy") as started:
        yield started


@pytest.fixture(scope="session")
def trained(place: Installation) -> Trained:
    """A weak run, and a strong one that could replace it as champion."""
    begun = [
        place.start("train", {"config": config, "name": name})
        for name, config in (("weak", WEAK), ("strong", STRONG))
    ]
    seen = seen_together(place, begun)
    ended = [place.end_of(each) for each in begun]
    assert [each["type"] for each in ended] == ["COMPLETED"] * 2, str(ended) + place.said()
    return Trained(place, seen, ended)
