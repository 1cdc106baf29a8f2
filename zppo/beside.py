"""Work beside the main thread: what waits for somebody else while the run has something better to do.

Such work computes nothing that the main thread changes meanwhile, and its result is taken at a fixed place in
the round, so that what a run computes does not depend on which of the two is faster.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TypeVar

T = TypeVar("T")


@contextmanager
def started(work: Callable[[], T], name: str) -> Iterator[Callable[[], T]]:
    """Start work in a thread; the yielded function waits for its result, or raises its error.

    Where the block fails, the work is left alone: whoever holds its connections ends it by closing them.
    """
    pool = ThreadPoolExecutor(1, name)
    try:
        yield pool.submit(work).result
    finally:
        pool.shutdown(wait=False)


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
