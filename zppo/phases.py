"""Seconds by phase; timings live outside every identity."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter


class Phases:
    """A stopwatch with named, additive laps."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = defaultdict(float)
        self._open: list[str] = []

    @property
    def current(self) -> str:
        """The phases that are open now, the innermost last; empty outside of all."""
        return " > ".join(self._open)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time inside the block to the phase."""
        start = perf_counter()
        self._open.append(name)
        try:
            yield
        finally:
            self._open.pop()
            self._seconds[name] += perf_counter() - start

    def take(self) -> dict[str, float]:
        """Seconds by phase since the last call."""
        taken = dict(self._seconds)
        self._seconds.clear()
        return taken
