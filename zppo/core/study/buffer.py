"""What became of the questions in the replay buffer."""

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.study import Fate, StudyRun
from zppo.core.study.estimates import Bootstrap, Estimate
from zppo.core.study.measures import entry_accuracies, graduation

MANY_VISITS = 6
"""Entries with this many visits or more are counted together."""


@dataclass(frozen=True)
class Counts:
    """Buffer entries of all seeds together."""

    graduated: int
    evicted: int
    remaining: int

    @property
    def entries(self) -> int:
        """All of them."""
        return self.graduated + self.evicted + self.remaining


@dataclass(frozen=True)
class Graduation:
    """How many of the entries admitted at one accuracy graduated."""

    entry_accuracy: float
    counts: Counts
    share: Estimate | None
    """Mean over the seeds that admitted any."""


def graduations(runs: Sequence[StudyRun], bootstrap: Bootstrap) -> list[Graduation]:
    """Graduations by entry accuracy, ascending; empty where no run has a buffer."""
    found = []
    for accuracy in entry_accuracies(runs):
        shares = [share for run in runs if (share := graduation(run, accuracy)) is not None]
        fates = [fate for run in runs for fate in run.fates if fate.entry_accuracy == accuracy]
        found.append(Graduation(accuracy, count(fates), bootstrap.estimate(shares)))
    return found


def fates_by_visits(runs: Sequence[StudyRun]) -> dict[int, Counts]:
    """Counts by number of visits, from 1 to `MANY_VISITS` (that many or more); empty without a buffer."""
    fates = [fate for run in runs for fate in run.fates]
    if not fates:
        return {}
    return {
        visits: count([fate for fate in fates if min(fate.visits, MANY_VISITS) == visits])
        for visits in range(1, MANY_VISITS + 1)
    }


def count(fates: Sequence[Fate]) -> Counts:
    """Their entries, added up."""
    return Counts(
        sum(fate.graduated for fate in fates),
        sum(fate.evicted for fate in fates),
        sum(fate.remaining for fate in fates),
    )
