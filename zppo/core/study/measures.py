"""The scalar measures of a run: pure functions of its record, None where there is nothing to measure."""

from collections.abc import Callable, Iterable

from schemas.config.claims import ClaimMeasure
from schemas.report import Share
from schemas.rollout import PromptKind
from schemas.study import Fate, RoundPoint, StudyRun
from zppo.core.statistics import mean

LATE = 0.75
"""Measures of BCQ and NCQ are over the rounds after this part of a run, where the student is trained."""


def measure(run: StudyRun, name: ClaimMeasure, entry_accuracy: float | None = None) -> float | None:
    """A measure of a run, by name.

    Args:
        run: Any finished run.
        name: One of the closed set that claims know.
        entry_accuracy: Of `graduation` and `leavers_graduated`: only entries admitted at this accuracy.
    """
    if name == "graduation":
        return graduation(run, entry_accuracy)
    if name == "leavers_graduated":
        return leavers_graduated(run, entry_accuracy)
    return _MEASURES[name](run)


def graduation(run: StudyRun, entry_accuracy: float | None = None) -> float | None:
    """Share of the buffer's entries that graduated; those still in it at the end count as not graduated."""
    fates = _admitted_at(run.fates, entry_accuracy)
    return _ratio(
        sum(fate.graduated for fate in fates),
        sum(fate.graduated + fate.evicted + fate.remaining for fate in fates),
    )


def leavers_graduated(run: StudyRun, entry_accuracy: float | None = None) -> float | None:
    """Share of the entries that left the buffer that graduated; the others were evicted."""
    fates = _admitted_at(run.fates, entry_accuracy)
    return _ratio(sum(fate.graduated for fate in fates), sum(fate.graduated + fate.evicted for fate in fates))


def gain(run: StudyRun) -> float:
    """Held-out accuracy at the end less that of the base student."""
    return run.curve[-1].accuracy - run.curve[0].accuracy


def out_of_distribution_gain(run: StudyRun) -> float | None:
    """Likewise, on the sources that are only evaluated."""
    end, start = run.curve[-1].out_of_distribution, run.curve[0].out_of_distribution
    return None if end is None or start is None else end - start


def entry_accuracies(runs: Iterable[StudyRun]) -> list[float]:
    """The accuracies at which questions entered the buffers of `runs`, ascending."""
    return sorted({fate.entry_accuracy for run in runs for fate in run.fates})


def late_rounds(run: StudyRun) -> tuple[RoundPoint, ...]:
    """The last quarter of a run's rounds."""
    return tuple(point for point in run.rounds if point.round > LATE * run.rounds[-1].round)


def _admitted_at(fates: Iterable[Fate], entry_accuracy: float | None) -> list[Fate]:
    return [fate for fate in fates if entry_accuracy in (None, fate.entry_accuracy)]


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _mean_of(values: Iterable[Share]) -> float | None:
    known = [value for value in values if value is not None]
    return mean(known) if known else None


def _late(read: Callable[[RoundPoint], Share]) -> Callable[[StudyRun], float | None]:
    return lambda run: _mean_of(map(read, late_rounds(run)))


def _late_accuracy(kind: PromptKind) -> Callable[[StudyRun], float | None]:
    return _late(lambda point: point.accuracy.get(kind))


_MEASURES: dict[ClaimMeasure, Callable[[StudyRun], float | None]] = {
    "accuracy": lambda run: run.curve[-1].accuracy,
    "out_of_distribution": lambda run: run.curve[-1].out_of_distribution,
    "gain": gain,
    "out_of_distribution_gain": out_of_distribution_gain,
    "zero_advantage": lambda run: _mean_of(point.zero_advantage_groups for point in run.rounds),
    "positive_advantage": lambda run: _mean_of(point.positive_advantage_rollouts for point in run.rounds),
    "bcq_accuracy": _late_accuracy("bcq"),
    "bcq_correct_candidate": _late(lambda point: point.bcq_correct_candidate),
    "bcq_wrong_candidate": _late(lambda point: point.bcq_wrong_candidate),
    "bcq_neither": _late(lambda point: point.bcq_neither),
    "bcq_correct_first": _late(lambda point: point.bcq_correct_first),
    "bcq_accuracy_correct_first": _late(lambda point: point.bcq_accuracy_correct_first),
    "bcq_accuracy_correct_second": _late(lambda point: point.bcq_accuracy_correct_second),
    "ncq_accuracy": _late_accuracy("ncq"),
    "ncq_repeats_listed": _late(lambda point: point.ncq_repeats_listed),
    "ncq_matches_teacher": _late(lambda point: point.ncq_matches_teacher),
    "teacher_accuracy": lambda run: run.teacher_accuracy,
    "rollouts": lambda run: float(run.curve[-1].student_rollouts),
    "student_tokens": lambda run: float(run.curve[-1].student_tokens),
    "teacher_tokens": lambda run: float(run.curve[-1].teacher_tokens),
    "seconds": lambda run: run.curve[-1].seconds,
}
