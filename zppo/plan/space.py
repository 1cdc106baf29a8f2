"""Whether a run fits on the disk, before it starts."""

import shutil
from pathlib import Path

from schemas.config.run import RunConfig
from zppo.errors import InputError
from zppo.plan import find_shape, make_plan
from zppo.plan.resources import CHECKPOINTS

_LOWER = (
    "Lower checkpoints.keep_last, checkpoints.keep_best, rounds or sampling.max_response_tokens, free some "
    "space, or choose another --home"
)


def check_space(config: RunConfig, home: Path) -> str:
    """Refuse a new run whose checkpoints do not fit; a student of unknown shape is let through.

    Returns:
        A warning where the run would not fit with every response at its limit and nothing compressed;
        empty where it fits even so.

    Raises:
        InputError: The checkpoints that it keeps, whose size is known, exceed what is free at `home`.
    """
    disk = make_plan(config, find_shape(config.student), None, 1.0).disk
    existing = next(path for path in (home.absolute(), *home.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    most = sum(estimate.value for estimate in disk)
    certain = sum(estimate.value for estimate in disk if estimate.what == CHECKPOINTS)
    if most <= free:
        return ""
    listed = "\n".join(f"  {each.what}: {each.value:,.0f} bytes = {each.how}" for each in disk)
    if certain > free:
        raise InputError(
            f"the run keeps {certain:,.0f} bytes of checkpoints, but {existing} has {free:,} free:\n"
            f"{listed}\n{_LOWER}"
        )
    return (
        f"disk        the run may need up to {most:,.0f} bytes, and {existing} has {free:,} free:\n{listed}\n"
        f"{_LOWER}"
    )
