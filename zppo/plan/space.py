"""Whether runs fit on the disk, before they start."""

import shutil
from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from schemas.config.run import RunConfig
from zppo.errors import InputError
from zppo.plan import find_shape, make_plan
from zppo.plan.estimates import Estimate
from zppo.plan.resources import CHECKPOINTS

_LOWER = (
    "Lower checkpoints.keep_last, checkpoints.keep_best, rounds or sampling.max_response_tokens, free some "
    "space (zppo gc), or choose another --home"
)


def check_space(runs: Sequence[RunConfig], home: Path) -> str:
    """Refuse new runs whose checkpoints do not fit together; a student of unknown shape is let through.

    Returns:
        A warning where they would not fit with every response at its limit and nothing compressed; empty
        where they fit even so.

    Raises:
        InputError: The checkpoints that they keep, whose size is known, exceed what is free at `home`.
    """
    disk = _together([make_plan(run, find_shape(run.student), None).disk for run in runs])
    existing = next(path for path in (home.absolute(), *home.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    most = sum(estimate.value for estimate in disk)
    certain = sum(estimate.value for estimate in disk if estimate.what == CHECKPOINTS)
    if most <= free:
        return ""
    who = "the run" if len(runs) == 1 else f"{len(runs)} runs"
    listed = "\n".join(f"  {each.what}: {each.value:,.0f} bytes = {each.how}" for each in disk)
    if certain > free:
        raise InputError(
            f"{who} would keep {certain:,.0f} bytes of checkpoints, but {existing} has {free:,} free:\n"
            f"{listed}\n{_LOWER}"
        )
    return (
        f"disk        {who} may need up to {most:,.0f} bytes, and {existing} has {free:,} free:\n{listed}\n"
        f"{_LOWER}"
    )


def _together(plans: Sequence[Sequence[Estimate]]) -> list[Estimate]:
    """One estimate of each kind: of several runs, their sum."""
    if len(plans) == 1:
        return list(plans[0])
    kind = attrgetter("what")
    estimates = sorted((each for plan in plans for each in plan), key=kind)
    return [_sum(what, list(same)) for what, same in groupby(estimates, kind)]


def _sum(what: str, estimates: Sequence[Estimate]) -> Estimate:
    values = [each.value for each in estimates]
    how = f"{len(values)} runs of {min(values):,.0f} to {max(values):,.0f}"
    return Estimate(what, sum(values), estimates[0].unit, how)
