"""Series over the rounds of several seeds."""

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np

from schemas.report import Share
from schemas.rollout import PromptKind
from schemas.study import RoundPoint, StudyRun
from zppo.core.statistics import mean
from zppo.core.study.curves import MeanCurve
from zppo.core.study.estimates import Bootstrap

WINDOW = 5
"""Rounds of the centred moving average: one round has few BCQ and NCQ groups."""

Part = Literal["new", "replayed", "bcq", "ncq", "hint", "prefix", "extra"]
"""What a round's groups are: plain ones of new or replayed questions, or a kind of further prompt."""
PARTS: tuple[Part, ...] = get_args(Part)


def composition(runs: Sequence[StudyRun]) -> dict[Part, list[float]]:
    """Mean number of groups of each part in every round; parts that no run has are left out."""
    length = min((len(run.rounds) for run in runs), default=0)
    series = {
        part: [mean([groups(run.rounds[index], part) for run in runs]) for index in range(length)]
        for part in PARTS
    }
    return {part: values for part, values in series.items() if any(values)}


def groups(point: RoundPoint, part: Part) -> int:
    """Groups of one part in a round."""
    if part == "new":
        return point.groups.get("plain", 0) - point.replayed
    if part == "replayed":
        return point.replayed
    return point.groups.get(part, 0)


def accuracy_of(kind: PromptKind) -> Callable[[RoundPoint], Share]:
    """Reads the mean reward of one prompt kind."""
    return lambda point: point.accuracy.get(kind)


def series(
    runs: Sequence[StudyRun], read: Callable[[RoundPoint], Share], bootstrap: Bootstrap
) -> MeanCurve | None:
    """The mean over seeds of a smoothed value, at the rounds where every seed has one; None where none is.

    Seeds that never have the value are left out.
    """
    length = min((len(run.rounds) for run in runs), default=0)
    smooth = [smoothed([read(point) for point in run.rounds[:length]]) for run in runs]
    known = [values for values in smooth if any(value is not None for value in values)]
    rounds = [index for index in range(length) if known and all(row[index] is not None for row in known)]
    if not rounds:
        return None
    values_SX = np.asarray([[row[index] for index in rounds] for row in known], dtype=np.float64)
    amounts = np.asarray([runs[0].rounds[index].round for index in rounds], dtype=np.float64)
    return MeanCurve(amounts, values_SX.mean(axis=0), bootstrap.band(values_SX), len(known))


def smoothed(values: Sequence[Share]) -> list[Share]:
    """The mean of the known values within half a window on either side; None where there are none."""
    half = WINDOW // 2
    windows = (values[max(0, at - half) : at + half + 1] for at in range(len(values)))
    known = ([value for value in window if value is not None] for window in windows)
    return [mean(window) if window else None for window in known]
