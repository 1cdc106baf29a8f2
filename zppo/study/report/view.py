"""What every part of the report reads: the study, its records, and how things are called."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from schemas.config.study import StudyConfig, Variant, VariantGroup
from schemas.study import StudyRun
from zppo.core.study.estimates import Bootstrap
from zppo.core.study.records import Cell, Records

_IN_A_GROUP = 6
"""Variants of a group where the study names none."""


@dataclass(frozen=True)
class View:
    """A study and its finished runs."""

    study: StudyConfig
    records: Records
    bootstrap: Bootstrap

    @classmethod
    def of(cls, study: StudyConfig, runs: Sequence[StudyRun]) -> "View":
        """The view of a study's runs."""
        return cls(study, Records(study, runs), Bootstrap(study.confidence, study.bootstrap_resamples))

    @property
    def groups(self) -> tuple[VariantGroup, ...]:
        """The study's groups, or all variants as they stand."""
        if self.study.groups:
            return self.study.groups
        names = [variant.name for variant in self.study.variants]
        starts = range(0, len(names), _IN_A_GROUP)
        return tuple(
            VariantGroup(
                name=f"variants-{number}",
                title="All variants" if len(starts) == 1 else f"Variants, part {number}",
                variants=tuple(names[start : start + _IN_A_GROUP]),
            )
            for number, start in enumerate(starts, start=1)
        )

    def title(self, variant: str) -> str:
        """What the report calls a variant."""
        return self.study.variant(variant).title

    def cell_title(self, cell: Cell) -> str:
        """Such as `student: small, rate: 0.1`; empty where the study has no factor."""
        pairs = zip(self.study.factors, cell, strict=True)
        return ", ".join(f"{factor.title}: {value}" for factor, value in pairs)

    def panel_title(self, cell: Cell, title: str) -> str:
        """A title, under the values of the factors where there are factors."""
        return f"{', '.join(cell)}\n{title}" if cell else title

    def runs(self, variant: str, cell: Cell) -> tuple[StudyRun, ...]:
        """By ascending seed."""
        return tuple(self.records.of(variant, cell).values())

    def present(self, cell: Cell) -> Iterator[tuple[Variant, tuple[StudyRun, ...]]]:
        """The variants that have runs in a cell, with them, in the study's order."""
        for variant in self.study.variants:
            if runs := self.runs(variant.name, cell):
                yield variant, runs
