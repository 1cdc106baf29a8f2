"""The process that ends its parent when sampling there makes no progress.

Run as a file of its own, so it imports nothing of this package: it starts in a tenth of a second, and works
while the interpreter of the watched process hangs in native code and lets no Python run.
"""

import argparse
import mmap
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil

DUMP = signal.SIGUSR2
"""Makes the watched process write its stacks, by `faulthandler`."""
BOARD_BYTES = 1 << 16
_NUMBERS = 3
_TICK_SECONDS = 1.0
_STACK_SECONDS = 5.0
_STOPPED = (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)


class Board:
    """Memory that both processes share; writing to it is no system call and needs no lock."""

    def __init__(self, descriptor: int) -> None:
        """Map a file of `BOARD_BYTES`."""
        self._text = memoryview(mmap.mmap(descriptor, BOARD_BYTES))
        self._numbers = self._text[: 8 * _NUMBERS].cast("Q")

    def beat(self) -> None:
        """Something was sampled."""
        self._numbers[0] += 1

    def begin(self, what: str) -> None:
        """Sampling begins; `what` is cut where the memory ends."""
        start, data = 8 * _NUMBERS, what.encode()[: BOARD_BYTES - 8 * _NUMBERS]
        self._text[start : start + len(data)] = data
        self._numbers[2] = len(data)
        self._numbers[1] = 1

    def end(self) -> None:
        """Sampling has ended."""
        self._numbers[1] = 0
        self.beat()

    @property
    def sampling(self) -> bool:
        """Whether it has begun and not ended."""
        return bool(self._numbers[1])

    @property
    def beats(self) -> int:
        """Grows with every beat and with the end of every sampling."""
        return self._numbers[0]

    @property
    def what(self) -> str:
        """What is being sampled: a line that says where, then lines of detail."""
        start = 8 * _NUMBERS
        return bytes(self._text[start : start + self._numbers[2]]).decode(errors="ignore")


def hangs(board: Board, process: psutil.Process, seconds: float) -> bool:
    """Wait until sampling has made no progress for so long (true), or until the process has ended (false).

    Counts its own ticks, not a clock: neither a clock that is set nor a suspended machine looks like a hang,
    and while the process is stopped, as by Ctrl-Z, nothing is counted.
    """
    tick = min(_TICK_SECONDS, seconds / 10)
    beats, still = board.beats, 0.0
    for _ in _while_alive(process.pid, tick):
        if not board.sampling or board.beats != beats:
            beats, still = board.beats, 0.0
        elif process.status() not in _STOPPED:
            still += tick
        if still >= seconds:
            return True
    return False


def report(board: Board, process: psutil.Process, run: str, seconds: float, stacks: int) -> str:
    """What was going on: a first line that is a whole sentence, and everything that may help."""
    place, _, detail = board.what.partition("\n")
    state, times, now = process.status(), process.cpu_times(), datetime.now(UTC)
    return (
        f"sampling {place} made no progress for {seconds:g} s\n"
        f"run {run}, process {process.pid} on {socket.gethostname()}, {now.isoformat(timespec='seconds')}\n"
        f"the process was {state} and had used {times.user + times.system:.1f} s of CPU\n"
        f"{detail}\n\n{_stacks(process.pid, stacks)}"
    )


def end(pid: int, grace_seconds: float) -> None:
    """Ask the process to end; kill it where it has not done so in time."""
    os.kill(pid, signal.SIGTERM)
    waited, tick = 0.0, min(0.1, grace_seconds / 10)
    for _ in _while_alive(pid, tick):
        waited += tick
        if waited >= grace_seconds:
            os.kill(pid, signal.SIGKILL)


def _while_alive(parent: int, tick: float) -> Iterator[None]:
    """Once a tick, while the parent lives: its id cannot pass to another process before that shows here."""
    while os.getppid() == parent:
        yield
        time.sleep(tick)


def _stacks(pid: int, descriptor: int) -> str:
    """The stacks that the process writes when it is asked to; a thread that takes signals is enough."""
    os.kill(pid, DUMP)
    size, tick = 0, 0.2
    for _ in range(round(_STACK_SECONDS / tick)):
        time.sleep(tick)
        before, size = size, os.fstat(descriptor).st_size
        if size and size == before:
            return os.pread(descriptor, size, 0).decode(errors="replace")
    return "no stacks: none of its threads took the signal, as in native code that blocks signals\n"


def _write(file: Path, text: str) -> None:
    """Onto the disk before the process is ended; a reader sees all of it or nothing."""
    aside = file.with_suffix(".new")
    with aside.open("w") as content:
        content.write(text)
        content.flush()
        os.fsync(content.fileno())
    aside.replace(file)


def main() -> None:
    """Watch the parent until it ends, or end it."""
    parser = argparse.ArgumentParser()
    for name, kind in (("pid", int), ("board", int), ("stacks", int), ("seconds", float), ("grace", float)):
        parser.add_argument(name, type=kind)
    parser.add_argument("run")
    parser.add_argument("file", type=Path)
    its = parser.parse_args()
    try:
        process, board = psutil.Process(its.pid), Board(its.board)
        if not hangs(board, process, its.seconds):
            return
        text = report(board, process, its.run, its.seconds, its.stacks)
    except psutil.NoSuchProcess:  # it ended this instant
        return
    try:
        _write(its.file, text)
    finally:  # a disk that is full must not keep a hanging process alive
        print(f"the watchdog ends the run: {text}", file=sys.stderr, flush=True)
        end(its.pid, its.grace)


if __name__ == "__main__":
    main()
