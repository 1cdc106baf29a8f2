"""A study as text for the terminal: its grid, before and while it runs."""

from collections.abc import Mapping
from itertools import groupby

from schemas.study import StudyRun
from zppo.display import aligned
from zppo.progress import clock_text
from zppo.study.grid import PlannedRun, StudyPlan
from zppo.study.pace import Pace


def overview(plan: StudyPlan, records: Mapping[str, StudyRun], jobs: int) -> str:
    """The runs by variant and factors, how many are done, and the time that the rest takes.

    Args:
        plan: The study.
        records: Of its finished runs, by name.
        jobs: Runs at a time.
    """
    pace = Pace(plan, records)
    titles = [factor.title for factor in plan.study.factors]
    rows = [("variant", *titles, "method", "seeds", "rounds", "done", "left")]
    # Sorted by place in the plan, which goes seed by seed; the settings keep the study's order.
    order = list(dict.fromkeys(run.setting for run in plan.runs))
    by_setting = sorted(plan.runs, key=lambda run: order.index(run.setting))
    total: float | None = 0.0
    for setting, runs in groupby(by_setting, key=lambda run: run.setting):
        own = list(runs)
        left = [run for run in own if run.name not in records]
        seconds = pace.seconds(setting, sum(run.recipe.rounds for run in left))
        total = None if total is None or seconds is None else total + seconds
        rows.append(_row(plan, own, len(left), seconds))
    rounds = sum(run.recipe.rounds for run in plan.runs)
    return "\n".join(
        [
            f"{plan.name}: {plan.study.title}",
            "",
            aligned(rows),
            "",
            f"{len(plan.runs)} runs, {len(records)} of them done; {rounds:,} rounds.",
            _estimate(total, jobs),
        ]
    )


def _row(plan: StudyPlan, runs: list[PlannedRun], left: int, seconds: float | None) -> tuple[str, ...]:
    first = runs[0]
    return (
        plan.study.variant(first.variant).title,
        *(factor.value_title(first.factors[factor.key]) for factor in plan.study.factors),
        first.recipe.method.type,
        " ".join(str(run.seed) for run in runs),
        str(first.recipe.rounds),
        f"{len(runs) - left}/{len(runs)}",
        "-" if seconds is None else clock_text(seconds),
    )


def _estimate(seconds: float | None, jobs: int) -> str:
    if seconds is None:
        return "How long a round takes is known after the first run."
    if seconds == 0:
        return "Nothing is left to train."
    return (
        f"About {clock_text(seconds / jobs)} are left with --jobs {jobs}, at the pace of the finished runs."
    )
