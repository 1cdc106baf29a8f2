"""Proof by fire: kill the pipeline anywhere, resume it, and compare with the run that nothing disturbed.

Usage: `python -m tests.faults.fire`; see `--help`. Each case ends in a line of a journal at once, and a
second start goes on with the cases that are left. The journal belongs to the code that it tested: when that
changes, another one begins. Ends with 0 if every case survived, 1 if one did not, 3 if cases are left.
"""

import argparse
import hashlib
import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.faults.fire_cases import KINDS, Case, Kind, Outcome, Reference, Worker, all_cases
from tests.pipelines import ROOT
from zppo.environment import prepare_environment
from zppo.stores.locks import exclusive

TESTED = ("zppo", "flows", "schemas", "deployments/recipes")
HARNESS = ("crash_points.py", "lives.py", "fire_cases.py", "fire_pocket.py")
SECONDS: dict[Kind, float] = {"pocket": 900, "servers": 120, "flow": 15, "moment": 8, "store": 7, "call": 7}
"""Of a case, before one of its kind was measured."""
FAILED, LEFT = 1, 3


@dataclass(frozen=True)
class Entry:
    """A line of the journal."""

    key: str
    kind: Kind
    seconds: float
    failure: str | None
    died: str


class Journal:
    """The cases that are done; every line is on the disk before the next case starts."""

    def __init__(self, file: Path) -> None:
        text = file.read_text() if file.exists() else ""
        whole = text[: text.rfind("\n") + 1]  # a killed harness may have left half a line
        self.entries = [Entry(**json.loads(line)) for line in whole.splitlines()]
        file.write_text(whole)
        self._file = file

    def append(self, entry: Entry) -> None:
        """Add a case; one that was repeated counts with its last outcome."""
        with self._file.open("a") as file:
            file.write(json.dumps(asdict(entry)) + "\n")
        self.entries.append(entry)

    def latest(self) -> dict[str, Entry]:
        """The last entry of each case."""
        return {entry.key: entry for entry in self.entries}


def seconds_left(left: Sequence[Case], entries: Sequence[Entry], jobs: int) -> float:
    """What the cases that are left will take, by the mean of those of their kind."""

    def mean(kind: Kind) -> float:
        seconds = [entry.seconds for entry in entries if entry.kind == kind]
        return sum(seconds) / len(seconds) if seconds else SECONDS[kind]

    return sum(mean(case.kind) for case in left) / jobs


def code_digest() -> str:
    """Tells apart the versions of the code under test, and of the harness where it decides on cases."""
    files = [file for folder in TESTED for file in sorted((ROOT / folder).rglob("*.*"))]
    files += [ROOT / "tests" / "faults" / name for name in HARNESS] + [ROOT / "tests" / "pipelines.py"]
    found = hashlib.sha256()
    for file in files:
        if file.is_file() and "__pycache__" not in file.parts:
            found.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes() + b"\0")
    return found.hexdigest()[:12]


class Fire:
    """The cases, the workers that run them, and what is said about it."""

    def __init__(self, directory: Path, jobs: int, deadline: float) -> None:
        self._directory = directory
        self._jobs = jobs
        self._deadline = deadline
        self._journal = Journal(directory / "journal.jsonl")
        self._lock = threading.Lock()
        self._errors: list[BaseException] = []
        self._server = _SharedServer(directory / "server")

    def run(self, arguments: argparse.Namespace) -> int:
        """Run what is asked for and not done; returns the exit code."""
        database, file = self._directory / "empty.db", self._directory / "reference.json"
        if not database.exists():
            _make_database(database)
        with ExitStack() as stack:
            stack.callback(self._server.close)
            if not file.exists():
                print("the undisturbed run", flush=True)
                with self._worker(0, database) as worker:
                    worker.undisturbed().write(file)
            reference = Reference(**json.loads(file.read_text()))
            wanted = _wanted(all_cases(reference), arguments)
            done = {} if arguments.case else self._journal.latest()
            left = [case for case in wanted if case.key not in done]
            self._burn(left, reference, database)
        return self._conclude(wanted)

    def _burn(self, cases: Sequence[Case], reference: Reference, database: Path) -> None:
        waiting: queue.SimpleQueue[Case] = queue.SimpleQueue()
        for case in cases:
            waiting.put(case)
        if any(case.kind == "flow" for case in cases):
            self._server.address()  # by this thread: a server ends with the one that started it
        left = list(cases)

        def work(number: int) -> None:
            try:
                with self._worker(number, database) as worker:
                    while time.monotonic() < self._deadline and not self._errors:
                        case = waiting.get_nowait()
                        worker.prepare(case, reference)
                        began = time.monotonic()
                        outcome = worker.run(case, reference)
                        with self._lock:
                            left.remove(case)
                            self._done(case, outcome, time.monotonic() - began, left)
            except queue.Empty:
                pass
            except (
                AssertionError,
                OSError,
                subprocess.SubprocessError,
            ) as error:  # of the harness, not of a case
                self._errors.append(error)

        threads = [
            threading.Thread(target=work, args=(number,), daemon=True)
            for number in range(min(self._jobs, len(cases)))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._errors:
            raise self._errors[0]

    def _done(self, case: Case, outcome: Outcome, seconds: float, left: Sequence[Case]) -> None:
        entry = Entry(case.key, case.kind, seconds, outcome.failure, outcome.died)
        self._journal.append(entry)
        word = "survived" if outcome.failure is None else "FAILED"
        minutes = seconds_left(left, self._journal.entries, self._jobs) / 60
        line = f"{case.key} {word} in {seconds:.1f} s: killed {outcome.died}"
        print(f"{line}; {len(left)} left, {minutes:.0f} min", flush=True)
        if outcome.failure is not None:
            print(_explain(entry), flush=True)

    def _conclude(self, wanted: Sequence[Case]) -> int:
        latest = self._journal.latest()
        done = [latest[case.key] for case in wanted if case.key in latest]
        failed = [entry for entry in done if entry.failure is not None]
        for entry in failed:
            print(f"{entry.key} FAILED: killed {entry.died}\n{_explain(entry)}")
        left = len(wanted) - len(done)
        if left:
            print(f"{left} cases are left: run the same command again")
        print(f"survived {len(done) - len(failed)} of {len(done)}")
        if failed:
            return FAILED
        return LEFT if left else 0

    @contextmanager
    def _worker(self, number: int, database: Path) -> Iterator[Worker]:
        worker = Worker(self._directory / f"homes-{number}", database, self._server.address)
        try:
            yield worker
        finally:
            worker.close()


class _SharedServer:
    """The Prefect server of all runs through Prefect; started when it is first needed."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._stack = ExitStack()
        self._address: str | None = None

    def address(self) -> str:
        if self._address is None:
            from flows.servers import prefect_server

            self._home.mkdir(exist_ok=True)
            self._address = self._stack.enter_context(prefect_server(self._home))
        return self._address

    def close(self) -> None:
        self._stack.close()


def _make_database(file: Path) -> None:
    """An empty MLflow database, whole or not at all."""
    from zppo.tracking.client import connect

    aside = file.with_suffix(".tmp")
    aside.unlink(missing_ok=True)
    connect(f"sqlite:///{aside}")
    aside.replace(file)


def _wanted(cases: Sequence[Case], arguments: argparse.Namespace) -> list[Case]:
    if arguments.case:
        chosen = [case for case in cases if case.key in arguments.case]
        assert len(chosen) == len(set(arguments.case)), f"unknown case among {arguments.case}"
        return chosen
    return [case for kind in arguments.kinds for case in _spread(cases, kind, arguments.limit)]


def _spread(cases: Sequence[Case], kind: Kind, limit: int | None) -> Sequence[Case]:
    """The cases of a kind, or so many of them, evenly spaced."""
    found = [case for case in cases if case.kind == kind]
    if limit is None or limit >= len(found):
        return found
    return [found[(2 * index + 1) * len(found) // (2 * limit)] for index in range(limit)]


def _explain(entry: Entry) -> str:
    return f"  {entry.failure}\n  repeat it with: python -m tests.faults.fire --case {entry.key}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="only these kinds of cases")
    parser.add_argument("--case", nargs="+", help="only these cases, whether or not they are done")
    parser.add_argument("--limit", type=int, help="at most so many of each kind, evenly spaced")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="start no case after that")
    parser.add_argument("--jobs", type=int, default=2, help="cases at a time")
    parser.add_argument("--directory", type=Path, default=ROOT / "build" / "faults", help="journal and homes")
    return parser.parse_args()


def main() -> int:
    """Run the command; returns its exit code."""
    arguments = _arguments()
    directory = arguments.directory.absolute() / code_digest()
    prepare_environment(directory / "tools")
    with exclusive(directory):
        deadline = time.monotonic() + arguments.seconds
        return Fire(directory, arguments.jobs, deadline).run(arguments)


if __name__ == "__main__":
    sys.exit(main())
