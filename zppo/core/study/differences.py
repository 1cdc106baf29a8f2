"""Paired differences over seeds: the same seed and factors, the same amount of rounds, rollouts or time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

from schemas.config.study import Comparison
from schemas.study import Axis, Measure, StudyRun
from zppo.core.study.curves import reach, value_at
from zppo.core.study.estimates import Bootstrap, Estimate
from zppo.core.study.records import BySeed, Cell, Records, shared_seeds

AXES: tuple[Axis, ...] = get_args(Axis)
MEASURES: tuple[Measure, ...] = get_args(Measure)


@dataclass(frozen=True)
class Term:
    """One side of a contrast: `weight` times a value of each seed's run."""

    weight: float
    runs: BySeed
    read: Callable[[StudyRun], float | None]


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of runs that share a seed."""

    estimate: Estimate | None
    """None where no seed has every term."""
    dropped: int
    """Seeds that some of the terms lack."""


@dataclass(frozen=True)
class Difference:
    """Variant against baseline in one cell, at one equal amount."""

    comparison: Comparison
    cell: Cell
    axis: Axis
    measure: Measure
    amount: float
    """What both are given: the largest that every paired run reached; in the axis' unit."""
    contrast: Contrast


def contrast(terms: Sequence[Term], bootstrap: Bootstrap) -> Contrast:
    """The weighted sum of `terms`, seed by seed; a seed that lacks a value counts as dropped."""
    seeds, dropped = shared_seeds([term.runs for term in terms])
    sums = []
    for seed in seeds:
        values = [term.read(term.runs[seed]) for term in terms]
        known = [value for value in values if value is not None]
        if len(known) == len(terms):
            sums.append(sum(term.weight * value for term, value in zip(terms, known, strict=True)))
    return Contrast(bootstrap.estimate(sums), dropped + len(seeds) - len(sums))


def equal_amount(sides: Sequence[BySeed], axis: Axis) -> float | None:
    """The largest amount that every run with a partner on all sides reached; None without such runs."""
    seeds, _ = shared_seeds(sides)
    return min((reach(side[seed], axis) for side in sides for seed in seeds), default=None)


def reader(axis: Axis, amount: float, measure: Measure) -> Callable[[StudyRun], float | None]:
    """Reads a run's accuracy at an amount."""
    return lambda run: value_at(run, axis, amount, measure)


def differences(records: Records, bootstrap: Bootstrap) -> Iterator[Difference]:
    """Every comparison of the study in every cell, on every axis, in and out of distribution.

    A cell in which no seed has both variants is left out, and so is a measure that no pair has.
    """
    for comparison in records.study.comparisons:
        for cell in records.cells:
            better, baseline = records.of(comparison.better, cell), records.of(comparison.baseline, cell)
            for axis in AXES:
                amount = equal_amount((better, baseline), axis)
                if amount is None:
                    continue
                for measure in MEASURES:
                    read = reader(axis, amount, measure)
                    found = contrast((Term(1.0, better, read), Term(-1.0, baseline, read)), bootstrap)
                    if found.estimate is not None:
                        yield Difference(comparison, cell, axis, measure, amount, found)
