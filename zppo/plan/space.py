"""Whether a run fits on the disk, before it starts."""

import shutil
from pathlib import Path

from schemas.config.run import RunConfig
from zppo.errors import InputError
from zppo.plan import find_shape, make_plan


def check_space(config: RunConfig, home: Path) -> None:
    """Refuse a new run whose files may not fit; a student of unknown shape is let through.

    Raises:
        InputError: The plan's disk estimate, an upper bound, exceeds what is free at `home`.
    """
    disk = make_plan(config, find_shape(config.student), None, 1.0).disk
    needed = sum(estimate.value for estimate in disk)
    existing = next(path for path in (home.absolute(), *home.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        listed = "\n".join(f"  {each.what}: {each.value:,.0f} bytes = {each.how}" for each in disk)
        raise InputError(
            f"the run may need {needed:,.0f} bytes, but {existing} has {free:,} free:\n{listed}\n"
            "Lower checkpoints.keep_last, checkpoints.keep_best, rounds or sampling.max_response_tokens, "
            "free some space, or choose another --home"
        )
