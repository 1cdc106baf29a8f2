"""How far a study is, and how long the rest of it takes."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from statistics import fmean

from schemas.study import StudyRun
from zppo.study.grid import PlannedRun, StudyPlan


class Pace:
    """Seconds of a round, for each setting: runs of one setting differ in their seed only."""

    def __init__(self, plan: StudyPlan, records: Mapping[str, StudyRun]) -> None:
        """Begin with what finished runs took.

        Args:
            plan: The study.
            records: Of its finished runs, by name.
        """
        self._seconds: dict[str, float] = defaultdict(float)
        self._rounds: dict[str, int] = defaultdict(int)
        for run in plan.runs:
            if run.name in records:
                last = records[run.name].curve[-1]
                self.observe(run.setting, last.round, last.seconds)

    def observe(self, setting: str, rounds: int, seconds: float) -> None:
        """Rounds of a setting that took so long together."""
        self._rounds[setting] += rounds
        self._seconds[setting] += seconds

    def seconds(self, setting: str, rounds: int) -> float | None:
        """An estimate for rounds of a setting, from others where it has none; None before any round."""
        known = {each: self._seconds[each] / count for each, count in self._rounds.items() if count}
        if not known:
            return None
        return rounds * known.get(setting, fmean(known.values()))


class Tally:
    """Rounds done by every run of a study; several threads may tell it."""

    def __init__(
        self,
        plan: StudyPlan,
        records: Mapping[str, StudyRun],
        begun: Mapping[str, int],
        jobs: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin where the study stands.

        Args:
            plan: The study.
            records: Of its finished runs, by name.
            begun: Rounds done of unfinished runs, by name.
            jobs: Runs at a time.
            clock: Seconds from any start.
        """
        self._plan = plan
        self._pace = Pace(plan, records)
        self._done = {run.name: begun.get(run.name, 0) for run in plan.runs}
        self._done |= {run.name: run.recipe.rounds for run in plan.runs if run.name in records}
        self._finished = set(records)
        self._jobs = jobs
        self._clock = clock
        self._moved: dict[str, float] = {}
        self._notes: dict[str, str] = {}

    @property
    def rounds(self) -> int:
        """Of all runs together."""
        return sum(run.recipe.rounds for run in self._plan.runs)

    @property
    def rounds_done(self) -> int:
        """Committed rounds of all runs together."""
        return sum(self._done.values())

    def begin(self, run: PlannedRun) -> None:
        """A run has started, or goes on."""
        self._moved[run.name] = self._clock()

    def move(self, run: PlannedRun, done: int, note: str) -> None:
        """A run has committed a round."""
        now = self._clock()
        self._pace.observe(run.setting, max(0, done - self._done[run.name]), now - self._moved[run.name])
        self._moved[run.name] = now
        self._done[run.name] = done
        self._notes[run.name] = note

    def end(self, run: PlannedRun, finished: bool) -> str:
        """A run is over, finished or failed; returns its last note."""
        if finished:
            self._finished.add(run.name)
        return self._notes.pop(run.name, "")

    def note(self) -> str:
        """Runs done, and what those under way report."""
        current = (
            f"{run.name.partition('.')[2]} {self._done[run.name]}/{run.recipe.rounds} {self._notes[run.name]}"
            for run in self._plan.runs
            if run.name in self._notes
        )
        return "   ".join([f"{len(self._finished)}/{len(self._plan.runs)} runs", *current])

    def seconds_left(self) -> float | None:
        """Of all rounds that are left, so many runs at a time; None before any round."""
        left = [
            self._pace.seconds(run.setting, run.recipe.rounds - self._done[run.name])
            for run in self._plan.runs
            if run.name not in self._finished
        ]
        known = [seconds for seconds in left if seconds is not None]
        if len(known) < len(left):
            return None
        return sum(known) / max(1, min(self._jobs, len(known)))
