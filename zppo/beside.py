"""Work beside the main thread: what waits for somebody else while the run has something better to do.

Such work computes nothing that the main thread changes meanwhile, and its result is taken at a fixed place in
the round, so that what a run computes does not depend on which of the two is faster.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self


@dataclass(frozen=True)
class Threads:
    """What is done for some questions while the student's rollouts of others are drawn."""

    grading: Executor
    teacher: Executor | None
    """None where the teacher needs this machine as the sampler does."""
    judged: bool = False
    """Whether grading waits for a judge most of all: the phase that waits for it is named after it."""


@contextmanager
def threads(count: int, teacher: bool = True, judged: bool = False) -> Iterator[Threads]:
    """As many threads for each, without `teacher` for grading alone.

    Where the block fails, what they do is left alone.

    Whoever holds the connections that they wait for ends them by closing these.
    """
    grading = ThreadPoolExecutor(count, "grading")
    asking = ThreadPoolExecutor(count, "teacher") if teacher else None
    try:
        yield Threads(grading, asking, judged)
    finally:
        for each in filter(None, (grading, asking)):
            each.shutdown(wait=False, cancel_futures=True)


class Aside(Protocol):
    """Does pieces of work, in their order."""

    def do(self, work: Callable[[], None]) -> None:
        """Do a piece, perhaps after this returns."""
        ...

    def settle(self) -> None:
        """Return once nothing is under way; raises the error of a piece that has failed."""
        ...


class AtOnce:
    """Does each piece before `do` returns."""

    def do(self, work: Callable[[], None]) -> None:
        """Do a piece."""
        work()

    def settle(self) -> None:
        """Nothing is ever under way."""


class Behind:
    """Does one piece of work after the other in a thread, and is at most one behind; a context manager.

    An error of the work is raised where it is waited for: before the next piece, or at the end of the block.
    """

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, name)
        self._last: Future[None] | None = None

    def do(self, work: Callable[[], None]) -> None:
        """Start a piece of work as soon as the one before is done."""
        self.settle()
        self._last = self._pool.submit(work)

    def settle(self) -> None:
        """Return once nothing is under way."""
        last, self._last = self._last, None
        if last is not None:
            last.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the last piece; an error of the block comes before its own."""
        self._pool.shutdown(wait=True)
        if error is None:
            self.settle()
