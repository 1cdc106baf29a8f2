"""What a round costs beside the models: Prefect's tasks, the store's commits, and tracking."""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

from schemas.config.run import Runtime
from schemas.report import RoundTimings
from tests.benchmarks.measuring import Spread
from tests.benchmarks.rounds import pocket_config
from tests.benchmarks.table import Table
from zppo.environment import prepare_environment

TOTAL = "Prefect, store and tracking"
TARGET = 60
"""Milliseconds a round, on an idle machine."""
SAMPLING = ("student", "teacher", "compression", "judge", "grading")
"""Phases of collecting in which models work, and what grades them."""
LEARNING = ("drift", "update", "validation", "checkpoint")
"""The same of an update."""
Spans = dict[str, list[tuple[float, float]]]
"""Start and end of every call by method, in seconds of the clock."""


def main(arguments: Sequence[str]) -> list[Table]:
    """Measure.

    Args:
        arguments: Of the command line; `--help` tells.
    """
    parser = argparse.ArgumentParser(prog="orchestration", description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--warm", type=int, default=4, help="first rounds, not counted")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as home:
        prepare_environment(Path(home))
        return [_table(_rounds(Path(home), given.rounds)[given.warm :])]


def _rounds(home: Path, count: int) -> list[dict[str, float]]:
    """Milliseconds of each part of each round of a run, but for the last round, which nothing follows."""
    from flows.pipeline import run_pipeline
    from zppo.layout import RunPaths
    from zppo.stages.timings import read_timings
    from zppo.stages.train import Trainer
    from zppo.stores.local import LocalStore

    config = pocket_config(560, rounds=count)
    with _spans(Trainer, "collect", "update", "_commit_rollouts") as spans, redirect_stdout(sys.stderr):
        run_pipeline(config, "measured", Runtime(home=home, threads=1))
    store, paths = LocalStore(home), RunPaths("measured")
    timings = [read_timings(store, paths, index) for index in range(1, count)]
    whole = [after - start for (start, _), (after, _) in pairwise(spans["collect"])]
    collect, update, commit = ([end - start for start, end in each] for each in spans.values())
    inside = [sum(pair) for pair in zip(collect, update, strict=True)]
    return [_parts(*each) for each in zip(whole, inside[:-1], commit[:-1], timings, strict=True)]


def _parts(whole: float, inside: float, commit: float, timings: RoundTimings) -> dict[str, float]:
    """Milliseconds of one round, by part."""
    seconds = Counter(timings.seconds)
    sampling = sum(seconds[phase] for phase in SAMPLING)
    models = sampling + sum(seconds[phase] for phase in LEARNING)
    method = seconds["collect"] - sampling
    flow = whole - inside
    tracking, writing = seconds["wait_for_tracking"], seconds["wait_for_writing"]
    report = inside - models - method - tracking - writing
    parts = {
        "a round": whole,
        "models and grading": models,
        "prompts, candidates, buffer": method,
        TOTAL: flow + tracking + commit + report,
        "of which Prefect and the flow": flow,
        "of which waiting for MLflow": tracking,
        "of which the rollouts' commit, beside the updates": commit,
        "of which identities, report and its commit": report,
    }
    return {name: 1e3 * taken for name, taken in parts.items()}


@contextmanager
def _spans(owner: type, *names: str) -> Iterator[Spans]:
    """Record, until the block ends, when these methods are called and return."""
    spans: Spans = {name: [] for name in names}

    def timed(name: str, method: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: Any) -> object:
            start = time.perf_counter()
            result = method(*arguments)
            spans[name].append((start, time.perf_counter()))
            return result

        return call

    originals = {name: timed(name, getattr(owner, name)) for name in names}
    with patch.multiple(owner, **originals):
        yield spans


def _table(rounds: Sequence[dict[str, float]]) -> Table:
    rows = tuple((name, Spread.of([each[name] for each in rounds]).text(0)) for name in rounds[0])
    total = median(each[TOTAL] for each in rounds)
    notes = (
        f"**{total:.0f} ms** a round for {TOTAL}, {total / 60_000:.2%} of a round of a minute. "
        f"Targets: at most {TARGET} ms on an idle machine, under 0.5%.",
        "A run of the pocket recipe as `make run` starts it, with a Prefect server and an MLflow database of "
        f"its own: milliseconds of the clock, the median (least–most) of {len(rounds)} rounds after some to "
        "warm up. MLflow is shown a round while the next one is sampled. Rollouts are committed during their "
        "updates, on the same core; the commit counts in full, though a part of it may be hidden.",
    )
    return Table("What a round costs beside the method", ("part", "ms"), rows, notes)
