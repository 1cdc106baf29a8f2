"""What a terminal or a log shows while the runs of a study go on."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from zppo.progress import Advance, Progress, SecondsLeft
from zppo.study.grid import PlannedRun
from zppo.study.pace import Tally


class Board:
    """All runs as one piece of work; runs of several threads tell it."""

    def __init__(self, tally: Tally, progress: Progress, advance: Advance) -> None:
        self._tally = tally
        self._progress = progress
        self._advance = advance
        self._lock = Lock()

    def of(self, run: PlannedRun) -> Progress:
        """Where one run shows itself."""
        return _OneRun(self, run)

    def say(self, line: str) -> None:
        """One line that stays."""
        self._progress.say(line)

    def begin(self, run: PlannedRun) -> None:
        """The rounds of a run start, or go on."""
        with self._lock:
            self._tally.begin(run)

    def move(self, run: PlannedRun, done: int, note: str) -> None:
        """A run has committed a round."""
        with self._lock:
            self._tally.move(run, done, note)
            self._show()

    def end(self, run: PlannedRun, error: str | None) -> None:
        """A run is over: finished, or failed with an error."""
        with self._lock:
            note = self._tally.end(run, finished=error is None)
            self.say(f"{run.name}  {f'failed: {error}' if error else f'done  {note}'}")
            self._show()

    def _show(self) -> None:
        self._advance(self._tally.rounds_done, self._tally.note())


@contextmanager
def show_board(tally: Tally, progress: Progress) -> Iterator[Board]:
    """A bar, or lines, over the rounds of all runs together."""
    with progress.track("study", tally.rounds, tally.rounds_done, tally.seconds_left) as advance:
        yield Board(tally, progress, advance)


class _OneRun:
    """Progress of one run, on the board."""

    def __init__(self, board: Board, run: PlannedRun) -> None:
        self._board = board
        self._run = run

    def say(self, line: str) -> None:
        self._board.say(f"{self._run.name}  {line}")

    @contextmanager
    def track(
        self, title: str, total: int, done: int = 0, left: SecondsLeft | None = None
    ) -> Iterator[Advance]:
        self._board.begin(self._run)
        yield lambda done, note: self._board.move(self._run, done, note)
