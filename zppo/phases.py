"""Seconds by phase; timings live outside every identity."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident
from time import perf_counter


class Phases:
    """A stopwatch with named, additive laps, of the thread that opened the outermost phase.

    What other threads do meanwhile counts as far as that thread waits for it, in the phase in which it does.
    """

    def __init__(self) -> None:
        self._seconds: dict[str, float] = defaultdict(float)
        self._open: list[str] = []
        self._thread = get_ident()

    @property
    def current(self) -> str:
        """The phases that are open now, the innermost last; empty outside of all."""
        return " > ".join(self._open)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time inside the block to the phase."""
        if not self._open:
            self._thread = get_ident()
        elif self._thread != get_ident():
            yield
            return
        start = perf_counter()
        self._open.append(name)
        try:
            yield
        finally:
            self._open.pop()
            self._seconds[name] += perf_counter() - start

    @contextmanager
    def apart(self, name: str) -> Iterator[None]:
        """The same, but the time does not count for the phase around it; those further out have it too."""
        around = self._open[-1:] if self._thread == get_ident() else []
        start = perf_counter()
        try:
            with self.phase(name):
                yield
        finally:
            for outer in around:
                self._seconds[outer] -= perf_counter() - start

    def take(self) -> dict[str, float]:
        """Seconds by phase since the last call."""
        taken = dict(self._seconds)
        self._seconds.clear()
        return taken
