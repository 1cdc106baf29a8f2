"""Progress of long work, with the time left: bars on a terminal, plain lines in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TextIO

Advance = Callable[[int, str], None]
"""`advance(done, note)`: units done so far, and a few words on how it goes."""

SecondsLeft = Callable[[], float | None]
"""An estimate of the time that work still takes; None while there is none."""

LINE_SECONDS = 5.0
"""Least time between two lines of the same work in a log."""


class Progress(Protocol):
    """Shows how far work has come."""

    def say(self, line: str) -> None:
        """One line that stays."""
        ...

    def track(
        self, title: str, total: int, done: int = 0, left: SecondsLeft | None = None
    ) -> AbstractContextManager[Advance]:
        """Show work of `total` units, of which `done` were there before.

        The time left comes from `left`, or else from the mean time of a unit.
        """
        ...


class Quiet:
    """Shows nothing."""

    def say(self, line: str) -> None:
        """One line less."""

    @contextmanager
    def track(
        self, title: str, total: int, done: int = 0, left: SecondsLeft | None = None
    ) -> Iterator[Advance]:
        """Work that nobody watches."""
        yield lambda done, note: None


class Lines:
    """Plain lines: at most one every few seconds, and one at the end."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock

    def say(self, line: str) -> None:
        """One line that stays."""
        print(line, file=self._stream, flush=True)

    @contextmanager
    def track(
        self, title: str, total: int, done: int = 0, left: SecondsLeft | None = None
    ) -> Iterator[Advance]:
        """Show work of `total` units, of which `done` were there before."""
        started = shown = self._clock()
        width = len(str(total))

        def advance(now_done: int, note: str) -> None:
            nonlocal shown
            now = self._clock()
            if now - shown < LINE_SECONDS and now_done < total:
                return
            shown = now
            if left is None:
                rest = time_left(now - started, now_done - done, total - now_done)
            else:
                rest = left_text(left())
            self.say(f"{title:<11} {now_done:>{width}}/{total}  {note}{'  ' if note else ''}{rest}")

        yield advance


class Bars:
    """Bars that move, through rich."""

    def __init__(self) -> None:
        # Here, not above: rich costs a tenth of a second, and a log needs none of it.
        from rich.console import Console

        self._console = Console()

    def say(self, line: str) -> None:
        """One line that stays."""
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def track(
        self, title: str, total: int, done: int = 0, left: SecondsLeft | None = None
    ) -> Iterator[Advance]:
        """Show work of `total` units, of which `done` were there before."""
        from rich import progress

        columns = (
            progress.TextColumn("{task.description:<11}"),
            progress.BarColumn(bar_width=24),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[note]}"),
            progress.TimeElapsedColumn(),
            *(
                (progress.TextColumn("left"), progress.TimeRemainingColumn(elapsed_when_finished=False))
                if left is None
                else (progress.TextColumn("{task.fields[left]}"),)
            ),
        )
        with progress.Progress(*columns, console=self._console) as bars:
            bar = bars.add_task(title, total=total, completed=done, note="", left="")

            def advance(now_done: int, note: str) -> None:
                rest = left_text(left()) if left is not None else ""
                bars.update(bar, completed=now_done, note=note, left=rest)

            yield advance


def choose_progress(stream: TextIO = sys.stdout) -> Progress:
    """Bars on a terminal, lines elsewhere."""
    return Bars() if stream.isatty() else Lines(stream)


def time_left(elapsed: float, done: int, left: int) -> str:
    """`1:05 left`, from the average so far; empty before anything is done."""
    if done <= 0:
        return ""
    return left_text(elapsed / done * left)


def left_text(seconds: float | None) -> str:
    """`1:05 left`; empty where nobody knows."""
    return "" if seconds is None else f"{clock_text(seconds)} left"


def clock_text(seconds: float) -> str:
    """`0:07`, `1:05`, `2:03:09`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
