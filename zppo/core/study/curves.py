"""A run's curve read at any amount of rounds, rollouts, tokens or time, and mean curves over seeds."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from schemas.study import CurvePoint, Measure, StudyRun
from zppo.core.study.estimates import Bootstrap

Amount = Literal["rounds", "tokens", "rollouts", "seconds"]
"""What a curve runs over: a study's `Axis`, or the student's tokens."""
_POINTS = 41
"""Of a mean curve over an axis on which seeds are not recorded at the same places."""


@dataclass(frozen=True)
class MeanCurve:
    """Mean over seeds, up to where the shortest run ends."""

    amounts: NDArray[np.float64]
    means: NDArray[np.float64]
    band: tuple[NDArray[np.float64], NDArray[np.float64]] | None
    """Lower and upper bounds; None with fewer than two seeds."""
    seeds: int


def amount_at(point: CurvePoint, axis: Amount) -> float:
    """How much of `axis` a point has cost."""
    match axis:
        case "rounds":
            return float(point.round)
        case "tokens":
            return float(point.student_tokens)
        case "rollouts":
            return float(point.student_rollouts)
        case "seconds":
            return point.seconds


def reach(run: StudyRun, axis: Amount) -> float:
    """The amount at a run's end."""
    return amount_at(run.curve[-1], axis)


def value_at(run: StudyRun, axis: Amount, amount: float, measure: Measure) -> float | None:
    """A run's accuracy at an amount, linear between the recorded points.

    None beyond the first and the last point that has the measure: nothing is extrapolated.
    """
    points = [
        (amount_at(point, axis), value)
        for point in run.curve
        if (value := getattr(point, measure)) is not None
    ]
    at = bisect_left(points, amount, key=lambda point: point[0])
    if at == len(points):
        return None
    right, above = points[at]
    if right == amount:
        return float(above)
    if at == 0:
        return None
    left, below = points[at - 1]
    return float(below + (above - below) * (amount - left) / (right - left))


def mean_curve(
    runs: Sequence[StudyRun], axis: Amount, measure: Measure, bootstrap: Bootstrap
) -> MeanCurve | None:
    """The mean of several seeds' curves with its band; None where no run has the measure throughout."""
    if not runs:
        return None
    amounts = _places(runs, axis)
    curves = [[value_at(run, axis, amount, measure) for amount in amounts] for run in runs]
    known = [curve for curve in curves if None not in curve]
    if not known:
        return None
    curves_SX = np.asarray(known, dtype=np.float64)
    return MeanCurve(np.asarray(amounts), curves_SX.mean(axis=0), bootstrap.band(curves_SX), len(known))


def _places(runs: Sequence[StudyRun], axis: Amount) -> list[float]:
    """The recorded rounds, or evenly spaced amounts; none beyond the end of any run."""
    end = min(reach(run, axis) for run in runs)
    if axis == "rounds":
        recorded = {amount_at(point, axis) for run in runs for point in run.curve}
        return sorted(amount for amount in recorded if amount <= end)
    return [float(amount) for amount in np.linspace(0.0, end, _POINTS)]
