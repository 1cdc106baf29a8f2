"""Servers as programs: started until they answer, started again when they die, stopped with this process."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from flows.stopping import end_with_parent
from zppo.errors import ZppoError

START_SECONDS = 180
"""A first start migrates the database: 20 to 40 s on two busy cores."""
STOP_SECONDS = 10
RESTARTS = 3
"""How often a server that dies is started again; one that dies more often has a reason to."""


class ServerError(ZppoError):
    """A server did not start, ended on its own, or does not answer."""


@dataclass(frozen=True)
class Program:
    """What it takes to start a server, and to see that it is up."""

    title: str
    arguments: Sequence[str]
    """Of the Python interpreter."""
    log: Path
    health: str
    """An address that answers when the server does."""
    environment: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def running(program: Program) -> Iterator[None]:
    """Run a program until the block ends; `ServerError` if it does not come up."""
    process = _spawn(program)
    try:
        _wait_until_healthy(process, program)
        yield
    finally:
        _stop(process)


class Keeper:
    """Keeps a program running: a thread starts it again when it dies.

    Args:
        program: To run.
        say: Takes the line that tells of a restart.
        lose: Called once the program cannot be started again; `lost` says why by then.
    """

    def __init__(self, program: Program, say: Callable[[str], None], lose: Callable[[], None]) -> None:
        self._program = program
        self._say = say
        self._lose = lose
        self._lock = threading.Lock()
        self._stopping = False
        self._thread = threading.Thread(target=self._watch, name=f"{program.title} keeper", daemon=True)
        self.lost: ServerError | None = None

    def start(self) -> None:
        """Start the program and watch it; `ServerError` if it does not come up."""
        self._process = _spawn(self._program)
        try:
            _wait_until_healthy(self._process, self._program)
        except BaseException:
            _stop(self._process)
            raise
        self._thread.start()

    def stop(self) -> None:
        """Stop the program for good."""
        with self._lock:
            self._stopping = True
            _stop(self._process)
        self._thread.join()

    def _watch(self) -> None:
        for _ in range(RESTARTS):
            cause = _cause(self._process.wait())
            if self._stopping or not self._restart():
                return
            self._say(f"{self._program.title} {cause}; it was started again, and the run goes on")
        cause = _cause(self._process.wait())
        if not self._stopping:
            self._give_up(ServerError(f"{self._program.title} {cause}, after {RESTARTS} new starts"))

    def _restart(self) -> bool:
        """Start the program again; whether it is up. The new process ends with the watching thread."""
        with self._lock:
            if self._stopping:
                return False
            self._process = _spawn(self._program)
        try:
            _wait_until_healthy(self._process, self._program)
        except ServerError as error:
            if not self._stopping:
                self._give_up(error)
            return False
        return True

    def _give_up(self, error: ServerError) -> None:
        self.lost = error
        self._lose()


def _spawn(program: Program) -> subprocess.Popen[bytes]:
    """Start a Python program in a session of its own: Ctrl-C at the terminal is for the flow, not for it."""
    program.log.parent.mkdir(parents=True, exist_ok=True)
    with program.log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, *program.arguments],
            env={**os.environ, **program.environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # Safe beside other threads: the function takes no lock.
            preexec_fn=end_with_parent,  # noqa: PLW1509
        )


def _wait_until_healthy(process: subprocess.Popen[bytes], program: Program) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(program.health, timeout=5).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    ended = process.poll()
    _stop(process)
    how = (
        f"did not answer within {START_SECONDS} s" if ended is None else f"{_cause(ended)} before it answered"
    )
    raise ServerError(
        f"{program.title} {how} at {program.health}. The end of {program.log}:\n{_tail(program.log)}"
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _cause(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"


def _tail(log: Path, lines: int = 10) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
