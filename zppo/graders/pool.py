"""The grading processes: comparisons run under a hard time limit that is enforced from outside."""

import multiprocessing
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import BrokenExecutor, Future, wait
from contextlib import suppress
from threading import Lock
from typing import Any, NamedTuple

from pebble import ProcessExpired, ProcessPool

from zppo.errors import EngineError
from zppo.graders.equivalence import compare, prepare


class Pair(NamedTuple):
    """Two answers to compare."""

    gold: str
    answer: str


Verdict = bool | str
"""Whether the pair is equivalent, or the cause for which that is not known."""


class EquivalencePool:
    """Compares pairs in processes of their own; starts at the first comparison, safe to use from threads.

    A comparison past `timeout_seconds` has its process killed and replaced; so has one whose process dies.
    Processes are spawned: a fork of a parent that runs torch's threads could deadlock.
    """

    def __init__(self, timeout_seconds: float, processes: int = 1):
        self._timeout = timeout_seconds
        self._processes = processes
        self._pool: ProcessPool | None = None
        self._lock = Lock()

    def compare(self, pairs: Iterable[Pair]) -> dict[Pair, Verdict]:
        """A verdict on each distinct pair.

        Raises:
            EngineError: If grading processes cannot run at all.
        """
        with self._lock:
            verdicts = self._attempt(list(dict.fromkeys(pairs)))
            for pair in [pair for pair, verdict in verdicts.items() if verdict is None]:
                verdicts |= self._attempt([pair])  # alone, so that it can break nobody else's comparison
            return {
                pair: "the grading process failed" if verdict is None else verdict
                for pair, verdict in verdicts.items()
            }

    def close(self) -> None:
        """End the processes. A later comparison starts new ones."""
        with self._lock:
            self._stop()

    def _attempt(self, pairs: Sequence[Pair]) -> dict[Pair, Verdict | None]:
        """Verdicts, None where the pool broke before it had one."""
        if not pairs:
            return {}
        pool = self._running()
        futures: dict[Pair, Future[bool]] = {}
        with suppress(RuntimeError):  # of a pool that broke: a process died between two comparisons
            futures.update((pair, self._submit(pool, pair)) for pair in pairs)
        verdicts: dict[Pair, Verdict | None] = dict.fromkeys(pairs) | {
            pair: self._verdict(pool, future) for pair, future in futures.items()
        }
        if None in verdicts.values():
            self._stop()
        return verdicts

    def _submit(self, pool: ProcessPool, pair: Pair) -> "Future[bool]":
        last_resort = 2 * self._timeout + 1
        return pool.schedule(compare, args=(*pair, last_resort), timeout=self._timeout)

    def _verdict(self, pool: ProcessPool, future: "Future[bool]") -> Verdict | None:
        if not _done(pool, future):
            return None
        error = future.exception()
        if isinstance(error, BrokenExecutor):
            return None
        if isinstance(error, TimeoutError):
            return f"no verdict within {self._timeout:g} s"
        if isinstance(error, ProcessExpired):
            return f"the grading process died (exit code {error.exitcode})"
        return f"{type(error).__name__}: {error}" if error else future.result()

    def _running(self) -> ProcessPool:
        """The pool, started and known to work."""
        if self._pool is None:
            self._pool = ProcessPool(
                self._processes, initializer=prepare, context=multiprocessing.get_context("spawn")
            )
            probe = self._pool.schedule(os.getpid)
            if not _done(self._pool, probe) or probe.exception() is not None:
                self._stop()
                raise EngineError(
                    "a grading process should have started, but it died at once (its error is above); a "
                    "script must grade under `if __name__ == '__main__':`, since the process is spawned"
                )
        return self._pool

    def _stop(self) -> None:
        if self._pool is not None:
            self._pool.stop()  # type: ignore[no-untyped-call]
            self._pool.join()
            self._pool = None


def _done(pool: ProcessPool, future: "Future[Any]") -> bool:
    """Wait; false if the pool broke before it took the work up, for then it never will."""
    while not wait([future], timeout=1.0).done:
        if not pool.active:
            return False
    return True
