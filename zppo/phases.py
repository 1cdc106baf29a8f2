"""Seconds by phase; timings live outside every identity."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from time import perf_counter


class Phases:
    """A stopwatch with named, additive laps. Threads may share it: what they do side by side counts twice."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = defaultdict(float)
        self._open: dict[object, str] = {}
        self._lock = Lock()

    @property
    def current(self) -> str:
        """The phases that are open now, the innermost last; empty outside of all."""
        return " > ".join(self._names())

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time inside the block to the phase."""
        start, lap = perf_counter(), object()
        self._open[lap] = name
        try:
            yield
        finally:
            del self._open[lap]
            self._add(name, perf_counter() - start)

    @contextmanager
    def apart(self, name: str) -> Iterator[None]:
        """The same, but the time does not count for the phase around it; those further out have it too."""
        around, start = self._names()[-1:], perf_counter()
        try:
            with self.phase(name):
                yield
        finally:
            for outer in around:
                self._add(outer, start - perf_counter())

    def take(self) -> dict[str, float]:
        """Seconds by phase since the last call."""
        with self._lock:
            taken = dict(self._seconds)
            self._seconds.clear()
        return taken

    def _names(self) -> list[str]:
        return list(self._open.values())

    def _add(self, name: str, seconds: float) -> None:
        with self._lock:
            self._seconds[name] += seconds
