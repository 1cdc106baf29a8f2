"""Processes that work through many runs, one at a time each, so that imports are paid once.

A worker has a pipe of its own: none that dies can hold a lock that others wait for. It leaves the terminal's
process group, so that Ctrl-C is for the parent alone, which stops it with SIGTERM at its next commit. When
the parent dies, so does the worker.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from threading import Lock
from types import FrameType

from flows.stopping import PATIENCE_SECONDS, end_with_parent, stop_at_commits
from zppo.errors import ZppoError
from zppo.progress import Advance, Progress, SecondsLeft

Work = Callable[[Progress, Callable[[], None]], None]
"""What a worker does: shows its progress, and calls the second argument after every commit. It crosses to
the worker, so it is a function of a module or a `partial` of one."""
END_SECONDS = PATIENCE_SECONDS + 10.0
"""After that long a worker that was told to stop is killed."""
_TERMINATED = 128 + signal.SIGTERM


class WorkerDied(ZppoError):
    """A worker ended without a word: a crash, a kill, or too little memory."""


class WorkersStopped(ZppoError):
    """The workers are being stopped; they take no more work."""


@dataclass(frozen=True)
class _Said:
    line: str


@dataclass(frozen=True)
class _Began:
    title: str
    total: int
    done: int


@dataclass(frozen=True)
class _Moved:
    done: int
    note: str


@dataclass(frozen=True)
class _Ended:
    pass


@dataclass(frozen=True)
class _Finished:
    error: ZppoError | None


class Worker:
    """A process that does one piece of work after the other; started when it is first needed."""

    def __init__(self) -> None:
        self._process: SpawnProcess | None = None
        self._stopping = False
        self._lock = Lock()

    def do(self, work: Work, progress: Progress) -> None:
        """Have work done, its progress shown here.

        Raises:
            ZppoError: Whatever the work raised of this kind.
            WorkerDied: The process ended. The next call starts another.
            WorkersStopped: `stop` was called.
        """
        process = self._started()
        try:
            self._pipe.send(work)
            _replay(self._pipe, progress)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            if self._stopping:
                raise WorkersStopped("stopped") from None
            process.join()
            raise WorkerDied(_cause(process.exitcode)) from None

    def stop(self) -> None:
        """Ask the process to stop at its next commit."""
        with self._lock:
            self._stopping = True
            if self._process is not None:
                self._process.terminate()

    def end(self, deadline: float) -> None:
        """Wait for a stopped process; kill it at the deadline of the monotonic clock."""
        if self._process is not None:
            self._process.join(max(0.0, deadline - time.monotonic()))
            self._process.kill()
            self._process.join()

    def _started(self) -> SpawnProcess:
        with self._lock:
            if self._stopping:
                raise WorkersStopped("stopped")
            if self._process is None or not self._process.is_alive():
                context = get_context("spawn")
                self._pipe, theirs = context.Pipe()
                self._process = context.Process(target=_serve, args=(theirs,))
                self._process.start()
                theirs.close()
            return self._process


@contextmanager
def start_workers(count: int) -> Iterator[Sequence[Worker]]:
    """Workers that end with the block; an interruption waits for their commits, a second one does not."""
    workers = [Worker() for _ in range(count)]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.stop()
        deadline = time.monotonic() + END_SECONDS
        try:
            for worker in workers:
                worker.end(deadline)
        finally:
            for worker in workers:
                worker.end(time.monotonic())


def _replay(pipe: Connection, progress: Progress) -> None:
    """Show what a worker reports, until its work is done."""
    with ExitStack() as tracks:
        advance: Advance = _nowhere
        while True:
            match pipe.recv():
                case _Said(line):
                    progress.say(line)
                case _Began(title, total, done):
                    advance = tracks.enter_context(progress.track(title, total, done))
                case _Moved(done, note):
                    advance(done, note)
                case _Ended():
                    tracks.close()
                case _Finished(error):
                    if error is not None:
                        raise error
                    return


def _nowhere(done: int, note: str) -> None:
    """Before anything is tracked."""


def _cause(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        hint = ", as when memory runs out; try fewer --jobs" if -code == signal.SIGKILL else ""
        return f"its process was ended by {name}{hint}"
    return f"its process ended with code {code}; what it printed stands above"


class _Relay:
    """Progress that is shown by the parent."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def say(self, line: str) -> None:
        self._pipe.send(_Said(line))

    @contextmanager
    def track(
        self, title: str, total: int, done: int = 0, left: SecondsLeft | None = None
    ) -> Iterator[Advance]:
        self._pipe.send(_Began(title, total, done))
        yield lambda done, note: self._pipe.send(_Moved(done, note))
        self._pipe.send(_Ended())


def _serve(pipe: Connection) -> None:
    """The life of a worker process, until the parent closes the pipe or tells it to stop."""
    os.setsid()
    end_with_parent(signal.SIGKILL)
    signal.signal(signal.SIGTERM, _exit)
    relay = _Relay(pipe)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            work: Work = pipe.recv()
            error = None
            try:
                with stop_at_commits() as commit_done:
                    work(relay, commit_done)
            except ZppoError as raised:
                error = raised
            pipe.send(_Finished(error))


def _exit(number: int, frame: FrameType | None) -> None:
    sys.exit(_TERMINATED)
