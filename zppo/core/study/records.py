"""The runs of a study by variant, by the values of its factors, and by seed."""

from collections.abc import Mapping, Sequence
from itertools import product

from schemas.config.study import StudyConfig
from schemas.study import StudyRun

Cell = tuple[str, ...]
"""The titles of one value of every factor, in the study's order; empty where the study has no factor."""
BySeed = Mapping[int, StudyRun]
"""Runs that differ in their seed only."""


def cell_of(study: StudyConfig, run: StudyRun) -> Cell:
    """Where a run stands in the grid of factors."""
    return tuple(factor.value_title(run.factors[factor.key]) for factor in study.factors)


class Records:
    """Finished runs of a study; it may lack some."""

    def __init__(self, study: StudyConfig, runs: Sequence[StudyRun]) -> None:
        self.study = study
        self._runs: dict[tuple[str, Cell], dict[int, StudyRun]] = {}
        for run in runs:
            found = self._runs.setdefault((run.variant, cell_of(study, run)), {})
            assert run.seed not in found, f"two records of {run.variant}, seed {run.seed}: {run.run}"
            found[run.seed] = run

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The cells that have a run, in the study's order."""
        grid = product(
            *([factor.value_title(value) for value in factor.values] for factor in self.study.factors)
        )
        filled = {cell for _, cell in self._runs}
        return tuple(cell for cell in grid if cell in filled)

    def of(self, variant: str, cell: Cell) -> BySeed:
        """The runs of a variant in a cell, by ascending seed; empty where there are none."""
        return dict(sorted(self._runs.get((variant, cell), {}).items()))

    def ordered(self) -> tuple[StudyRun, ...]:
        """Every run: by variant as the study lists them, then by cell, then by seed."""
        return tuple(
            run
            for variant in self.study.variants
            for cell in self.cells
            for run in self.of(variant.name, cell).values()
        )

    def base(self, cell: Cell) -> BySeed:
        """One run a seed, whose curve starts at the base student; the first variant that has the seed."""
        found: dict[int, StudyRun] = {}
        for variant in self.study.variants:
            found = {**self.of(variant.name, cell), **found}
        return dict(sorted(found.items()))


def shared_seeds(sides: Sequence[BySeed]) -> tuple[list[int], int]:
    """Seeds that every side has, ascending, and how many seeds only some of them have."""
    seeds = [set(side) for side in sides]
    common = set.intersection(*seeds)
    return sorted(common), len(set.union(*seeds) - common)
