"""What a run finds done when it begins, and where it goes on, in one line."""

from collections.abc import Sequence

from schemas.config.teacher import NoTeacher
from zppo.layout import shared
from zppo.stores.identity import fingerprint, identify
from zppo.wiring.context import RunContext
from zppo.wiring.pool import draws_ahead
from zppo.wiring.precompute import pool_inputs
from zppo.wiring.prepare import run_prepare

SHARED_DATA = "store/prepare"


def prepared_before(run: RunContext) -> frozenset[str]:
    """The prepared data sets that are there; to be asked before the run prepares its own."""
    return frozenset(run.store.committed(SHARED_DATA))


def say_reuse(run: RunContext, before: frozenset[str]) -> None:
    """Say what the run reuses and where it goes on; nothing where it finds nothing done.

    Args:
        run: Whose data is prepared by now, its teacher pool maybe not.
        before: What `prepared_before` gave.
    """
    pool = _pool(run)
    pool_is_there = pool is not None and run.store.read(pool) is not None
    done = ["data"] if run_prepare(run) in before else []
    done += ["teacher pool"] if pool_is_there else []
    done += _rounds(run.committed_rounds(), run.config.rounds)
    done += [name for name, path in _later(run) if run.store.read(path) is not None]
    if done:
        following = "the teacher pool" if pool and not pool_is_there else _following(run)
        run.progress.say(f"{run.name}: reuses {_listed(done)}; goes on with {following}")


def _pool(run: RunContext) -> str | None:
    """Where the teacher pool is, or will be; None for a run without one."""
    teacher = run.config.teacher
    if isinstance(teacher, NoTeacher) or not draws_ahead(run.config):
        return None
    inputs = pool_inputs(run, teacher)
    return shared(
        "precompute", fingerprint(identify("precompute", inputs, [run.committed(run_prepare(run))]))
    )


def _rounds(done: int, total: int) -> list[str]:
    if done == 0:
        return []
    if done == total:
        return [f"all {total} rounds"]
    return [f"rounds 1 to {done}" if done > 1 else "round 1"]


def _following(run: RunContext) -> str:
    """The first thing after the teacher pool that is not committed."""
    index = run.committed_rounds() + 1
    if index <= run.config.rounds:
        collected = run.store.read(run.paths.collect(index)) is not None
        return f"the update of round {index}" if collected else f"round {index}"
    left = [f"the {name}" for name, path in _later(run) if run.store.read(path) is None]
    return left[0] if left else "the summary"


def _later(run: RunContext) -> tuple[tuple[str, str], ...]:
    return ("evaluation", run.paths.evaluation), ("promotion", run.paths.promotion)


def _listed(names: Sequence[str]) -> str:
    """`a, b and c`."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
