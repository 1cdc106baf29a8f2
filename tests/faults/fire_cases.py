"""The cases of the fault harness: which there are, and what it takes to survive one."""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import httpx

from tests.faults.fire_pocket import KILLS, kill_a_full_run
from tests.faults.lives import Answer, Ask, Request, forking
from tests.pipelines import NAME, ROOT, first_difference, results

Kind = Literal["pocket", "servers", "flow", "moment", "store", "call"]
"""A full run killed many times · a server, or a worker's run, killed · a random moment of a run through
Prefect · the same of a run without · every crash point of the store · before and after every other call."""
KINDS: tuple[Kind, ...] = get_args(Kind)
"""The longest first, so that the workers end together."""
FLOWS, MOMENTS = 40, 160
ROUNDS = 6
"""Of the short runs."""
STORE_CALLS = ("mkdir", "write", "sync", "replace", "rmtree")


@dataclass(frozen=True)
class Case:
    """One run to disturb."""

    kind: Kind
    name: str
    """Of the crash point, the moment or the file of tests."""

    @property
    def key(self) -> str:
        """What the journal and the command line call it."""
        return f"{self.kind}-{self.name}"


@dataclass(frozen=True)
class Reference:
    """The run that nothing disturbed."""

    points: list[str]
    results: dict[str, str]

    def write(self, file: Path) -> None:
        """Write it whole or not at all."""
        aside = file.with_suffix(".tmp")
        aside.write_text(json.dumps(asdict(self)))
        aside.replace(file)


@dataclass(frozen=True)
class Outcome:
    """What became of a case."""

    failure: str | None
    """The first thing that is not as in the undisturbed run, or the error; None if the run survived."""
    died: str
    """Where the kill hit."""


def all_cases(reference: Reference) -> list[Case]:
    """Every case, in the order of `KINDS`."""
    servers = [path.stem for path in _server_tests() if path.exists()]
    points = [("store" if _of_the_store(point) else "call", at) for at, point in enumerate(reference.points)]
    names: Mapping[Kind, list[str]] = {
        "pocket": [f"killed-{KILLS}-times"],
        "servers": servers,
        "flow": [f"{number:04d}" for number in range(FLOWS)],
        "moment": [f"{number:04d}" for number in range(MOMENTS)],
        "store": [f"{at:04d}" for kind, at in points if kind == "store"],
        "call": [f"{at:04d}" for kind, at in points if kind == "call"],
    }
    return [Case(kind, name) for kind in KINDS for name in names[kind]]


def _of_the_store(point: str) -> bool:
    return point.rsplit(maxsplit=1)[-1] in STORE_CALLS


def _server_tests() -> list[Path]:
    """Tests that kill servers outside the process group: each file is a case."""
    servers = ("mlflow", "prefect", "prefect_worker")
    return [ROOT / "tests" / "faults" / f"test_{server}.py" for server in servers]


class Worker:
    """Runs cases, one after the other.

    Args:
        directory: For the homes of the runs; those of survivors are removed.
        database: An empty MLflow database to copy.
        prefect: Starts the shared Prefect server if it is not up, and tells its address.
    """

    def __init__(self, directory: Path, database: Path, prefect: Callable[[], str]) -> None:
        self._directory = directory
        self._database = database
        self._prefect = prefect
        self._stack = ExitStack()
        self._forking: dict[bool, tuple[Ask, float]] = {}

    def close(self) -> None:
        """End the processes that lives are forked from."""
        self._stack.close()

    def undisturbed(self, prefect: bool = False) -> Reference:
        """A run from its beginning to its end, forked from a process that is then kept."""
        environment = {"PREFECT_API_URL": f"{self._prefect()}/api"} if prefect else {}
        ask = self._stack.enter_context(forking(self._directory / "tools", environment))
        home = self._home("undisturbed")
        answer = ask(Request(str(home), rounds=ROUNDS, prefect=prefect))
        assert answer.error is None, answer.error
        reference = Reference(answer.lives[0], results(home))
        shutil.rmtree(home)
        self._forking[prefect] = ask, answer.seconds[0]
        return reference

    def prepare(self, case: Case, reference: Reference) -> None:
        """Start the process to fork from; it must first come to the reference's results on its own."""
        prefect = case.kind == "flow"
        if case.kind not in ("pocket", "servers") and prefect not in self._forking:
            difference = first_difference(self.undisturbed(prefect).results, reference.results)
            assert difference is None, f"two undisturbed runs differ: {difference}"

    def run(self, case: Case, reference: Reference) -> Outcome:
        """Run one case, after `prepare`, and compare."""
        home = self._home(case.key)
        match case.kind:
            case "pocket":
                outcome = Outcome(kill_a_full_run(home, case.key), f"{KILLS} times")
            case "servers":
                outcome = Outcome(_pytest(case.name), "a server")
            case "flow" | "moment":
                outcome = self._kill_at_a_moment(case, home, reference)
                if case.kind == "flow" and outcome.failure is None:
                    outcome = replace(outcome, failure=wrong_states(_shown_states(self._prefect(), home)))
            case "store" | "call":
                ask, _ = self._forking[False]
                answer = ask(Request(str(home), [int(case.name)], ROUNDS))
                outcome = _judge(answer, home, reference)
        if outcome.failure is None:
            shutil.rmtree(home)
            return outcome
        return replace(outcome, failure=f"{outcome.failure}\n  its home is {home}")

    def _kill_at_a_moment(self, case: Case, home: Path, reference: Reference) -> Outcome:
        """Kill after a random share of an undisturbed run's seconds; once more if it was faster than that."""
        share = random.Random(case.key).random()
        ask, seconds = self._forking[case.kind == "flow"]
        while True:
            answer = ask(Request(str(home), [share * seconds], ROUNDS, prefect=case.kind == "flow"))
            if len(answer.lives) > 1 or answer.error is not None:
                return _judge(answer, home, reference)
            seconds = answer.seconds[0]
            home = self._home(case.key)

    def _home(self, name: str) -> Path:
        home = self._directory / name
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        shutil.copy(self._database, home / "mlflow.db")
        return home


def wrong_states(states: Sequence[str]) -> str | None:
    """What is wrong with the states of a run's flow runs, the resumed one last; None if nothing is.

    A kill may come before the first flow run was made, or after it had ended.
    """
    *killed, resumed = states
    if resumed == "COMPLETED" and set(killed) <= {"CRASHED", "COMPLETED"}:
        return None
    return f"Prefect shows the flow runs as {', '.join(states)}; expected CRASHED, COMPLETED"


def _shown_states(prefect: str, home: Path) -> list[str]:
    from flows.crashed import place  # Prefect reads its settings when it is imported

    asked = {
        "flow_runs": {"tags": {"all_": [place(home / NAME)]}}, "sort": "EXPECTED_START_TIME_ASC"
    }  # fmt: skip
    found = httpx.post(f"{prefect}/api/flow_runs/filter", json=asked).raise_for_status().json()
    return [flow_run["state"]["type"] for flow_run in found]


def _judge(answer: Answer, home: Path, reference: Reference) -> Outcome:
    first = answer.lives[0]
    died = f"after {answer.seconds[0]:.2f} s, {len(first)} points, {first[-1] if first else 'before any'}"
    if answer.error is not None:
        return Outcome(f"the resumed run failed:\n{answer.error}", died)
    if len(answer.lives) != 2:
        return Outcome("it was not killed", died)
    left = [path.name for path in (home / "tmp").iterdir()]
    if left:
        return Outcome(f"left behind: {', '.join(left)} in tmp", died)
    return Outcome(first_difference(results(home), reference.results), died)


def _pytest(name: str) -> str | None:
    command = [sys.executable, "-m", "pytest", "-q", "-m", "", f"tests/faults/{name}.py"]
    # The harness's own Prefect home would stand above those that the tests choose.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else "\n".join(done.stdout.splitlines()[-20:])
