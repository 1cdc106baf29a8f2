"""The seconds of a round. Those of collecting lie with its rollouts: a kill before the update loses none."""

from collections import Counter
from pathlib import Path

from schemas.report import RoundTimings
from zppo.layout import RunPaths
from zppo.stores.artifacts import read_artifact
from zppo.stores.local import LocalStore

_TIMINGS = "timings.json"


def write_timings(directory: Path, timings: RoundTimings) -> None:
    """Write them beside what was computed meanwhile."""
    (directory / _TIMINGS).write_text(timings.model_dump_json(indent=1))


def read_timings(store: LocalStore, paths: RunPaths, index: int) -> RoundTimings:
    """All seconds of a committed round."""
    return read_artifact(store, paths.update(index), _TIMINGS, RoundTimings)


def with_collecting(store: LocalStore, paths: RunPaths, timings: RoundTimings) -> RoundTimings:
    """Add what collecting took, perhaps in another process, to the seconds since."""
    path = paths.collect(timings.round)
    if all(file.path != _TIMINGS for file in store.existing(path).files):
        return timings  # rollouts of an earlier version of the program
    seconds = Counter(read_artifact(store, path, _TIMINGS, RoundTimings).seconds)
    seconds.update(timings.seconds)
    return RoundTimings(round=timings.round, seconds=dict(seconds))
