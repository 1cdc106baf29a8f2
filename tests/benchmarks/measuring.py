"""Times of several things taken in turn, so that a noisy machine is as noisy for each of them."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple, TypeVar
from unittest.mock import patch

import torch

T = TypeVar("T")


class Spread(NamedTuple):
    """Repeated measurements of one thing."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        """That of at least one value."""
        return cls(min(values), median(values), max(values))

    def text(self, digits: int = 2) -> str:
        """`1.20 (1.10–1.50)`."""
        return f"{self.median:.{digits}f} ({self.low:.{digits}f}–{self.high:.{digits}f})"


def clock() -> float:
    """Seconds of this process's CPU on one thread, so that neighbours matter less; else of the wall clock."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def seconds(act: Callable[[], object]) -> float:
    """Of one call."""
    start = clock()
    act()
    return clock() - start


def in_turn(measures: Mapping[str, Callable[[], T]], repeats: int, warm: int = 1) -> dict[str, list[T]]:
    """What each gave, taken A B A B …, the first `warm` of each left out."""
    taken: dict[str, list[T]] = {name: [] for name in measures}
    for _ in range(warm + repeats):
        for name, measure in measures.items():
            taken[name].append(measure())
    return {name: values[warm:] for name, values in taken.items()}


@contextmanager
def parts_timed(*methods: tuple[type, str]) -> Iterator[dict[str, float]]:
    """Collect, until the block ends, the CPU seconds of these methods' calls by name, each in its thread."""
    spent: dict[str, float] = {}

    def timed(name: str, method: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            start = time.thread_time()
            try:
                return method(*arguments, **named)
            finally:
                spent[name] = spent.get(name, 0.0) + time.thread_time() - start

        return call

    with ExitStack() as stack:
        for owner, name in methods:
            stack.enter_context(patch.object(owner, name, timed(name, getattr(owner, name))))
        yield spent


def matrix_rate(size: int = 1024) -> float:
    """Operations a second of the fastest of three products of two square float32 matrices."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    return 2 * size**3 / min(seconds(lambda: a @ b) for _ in range(3))


def copy_rate(megabytes: int = 256) -> float:
    """Bytes a second that the fastest of three copies of a large tensor reads; it writes as many."""
    source = torch.ones(megabytes << 18)
    target = torch.empty_like(source)
    return source.nbytes / min(seconds(lambda: target.copy_(source)) for _ in range(3))


def read_rate(megabytes: int = 256) -> float:
    """Bytes a second that the fastest of three sums over a large tensor reads."""
    source = torch.ones(megabytes << 18)
    return source.nbytes / min(seconds(source.sum) for _ in range(3))


def forget_peak() -> None:
    """Begin the peak of `peak_memory` anew (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> float:
    """Largest resident memory of this process so far, in MiB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
