"""The seconds that `zppo check` plans for rounds, at this machine's measured rates, against a run's."""

import argparse
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from sys import stderr

from tests.benchmarks.measuring import matrix_rate, read_rate
from tests.benchmarks.table import Table
from tests.measured_runs import ROUNDS, SMALL, Measured, measure, value
from zppo.environment import prepare_environment
from zppo.plan.hardware import Hardware
from zppo.plan.timing import ROLLOUTS, UPDATES

COLUMNS = ("recipe", "phase", "planned, s", "measured, s", "measured / planned")
PHASES = {ROLLOUTS: ("student",), UPDATES: ("update", "drift")}
"""What a run calls the phases of a plan."""


def main(arguments: Sequence[str]) -> list[Table]:
    """Measure.

    Args:
        arguments: Of the command line; `--help` tells.
    """
    parser = argparse.ArgumentParser(prog="capacity", description=__doc__)
    parser.add_argument("--recipes", nargs="*", choices=list(SMALL), default=list(SMALL))
    given = parser.parse_args(arguments)
    hardware = Hardware(flop_per_second=matrix_rate(), bytes_per_second=read_rate())
    rows: list[tuple[str, ...]] = []
    for recipe in given.recipes:
        with tempfile.TemporaryDirectory() as home, redirect_stdout(stderr):
            prepare_environment(Path(home))
            rows += _compared(recipe, measure(recipe, Path(home), hardware))
    return [Table("Planned and measured seconds", COLUMNS, tuple(rows), _notes(hardware))]


def _compared(recipe: str, run: Measured) -> list[tuple[str, ...]]:
    rows = []
    for phase, names in PHASES.items():
        planned = value(run.made.time, phase)
        taken = sum(run.seconds.get(name, 0.0) for name in names)
        rows.append((recipe, phase, f"{planned:.2f}", f"{taken:.2f}", f"{taken / planned:.1f}"))
    return rows


def _notes(hardware: Hardware) -> tuple[str, ...]:
    assert hardware.bytes_per_second is not None
    return (
        f"{ROUNDS} rounds of each recipe with fewer questions, one thread; seconds of the clock. The plan is "
        "given the run's mean lengths and its share of groups with different rewards, "
        f"{hardware.flop_per_second / 1e9:.0f} GFLOP/s, which a large matrix "
        f"product reaches here, and {hardware.bytes_per_second / 1e9:.1f} GB/s, at which a large tensor "
        "is read. It leaves out that small products are slower than large ones, and that neither prompts nor "
        "responses are all of their mean length.",
    )
