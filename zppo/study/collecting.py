"""From a finished run in the store to what the study keeps of it."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import accumulate
from statistics import fmean

import pyarrow.parquet as pq

from schemas.buffer import BufferEvent, ReplayBuffer
from schemas.report import BcqAudit, NcqAudit, StepReport, ValidationReport
from schemas.rollout import ServedResponses
from schemas.study import CurvePoint, Fate, RoundPoint, StudyRun
from schemas.teacher import TeacherPool
from zppo.core.values import ratio
from zppo.errors import StoreError
from zppo.layout import RunPaths
from zppo.stages.checkpoints import read_state
from zppo.stages.precompute import REPORT
from zppo.stages.timings import read_timings
from zppo.stages.train import read_base, read_reports
from zppo.stores.artifacts import read_artifact
from zppo.stores.local import LocalStore
from zppo.stores.rounds import ROUND, read_served
from zppo.study.grid import PlannedRun
from zppo.teachers.pool import RESPONSES

COLLECTING = ("collect", "update")
"""Phases whose seconds a study counts; a checkpoint and its validation are for the curves only."""

_NO_BCQ = BcqAudit(
    rollouts=0,
    correct_candidate=None,
    wrong_candidate=None,
    neither=None,
    accuracy_correct_first=None,
    accuracy_correct_second=None,
    correct_first=None,
)
_NO_NCQ = NcqAudit(rollouts=0, repeats_listed=None, matches_teacher=None)


def collect_run(store: LocalStore, planned: PlannedRun, pool: str) -> StudyRun:
    """What a run measured; equal for equal runs but for its seconds.

    Args:
        store: Holds the run, all rounds committed.
        planned: The run's place in the study.
        pool: Path of its teacher pool; empty where it has none.

    Raises:
        StoreError: The base student was not validated, so the run has no curve.
    """
    paths = RunPaths(planned.name)
    reports = read_reports(store, paths)
    base = read_base(store, paths)
    if base is None:
        raise StoreError(
            f"the run {planned.name!r} has no accuracy of the base student: no validation question was "
            "answered; look at the grader's errors in its reports"
        )
    final = read_state(store, paths.checkpoint(planned.recipe.rounds)).buffer
    return StudyRun(
        variant=planned.variant,
        method=planned.recipe.method.type,
        factors=dict(planned.factors),
        seed=planned.seed,
        run=planned.name,
        curve=curve(
            base,
            reports,
            _seconds(store, paths, len(reports)),
            _teacher_tokens(store, paths, len(reports), pool),
        ),
        rounds=tuple(map(round_point, reports)),
        fates=fates([event for report in reports for event in report.buffer.events], final),
        teacher_accuracy=_teacher_accuracy(store, pool),
    )


def curve(
    base: ValidationReport,
    reports: Sequence[StepReport],
    seconds: Sequence[float],
    teacher_tokens: Sequence[int],
) -> tuple[CurvePoint, ...]:
    """The base student, then the student at every validated checkpoint with what it has cost so far.

    Args:
        base: Accuracies of the base student.
        reports: Of all rounds, in order.
        seconds: Of each round.
        teacher_tokens: Used in each round.
    """
    costs = zip(
        [0, *accumulate(sum(kind.rollouts for kind in report.kinds) for report in reports)],
        [0, *accumulate(sum(kind.response_tokens for kind in report.kinds) for report in reports)],
        [0, *accumulate(teacher_tokens)],
        [0.0, *accumulate(seconds)],
        strict=True,
    )
    validations = [base, *(report.validation for report in reports)]
    return tuple(
        CurvePoint(
            round=index,
            student_rollouts=rollouts,
            student_tokens=tokens,
            teacher_tokens=of_teacher,
            seconds=spent,
            accuracy=validation.accuracy,
            out_of_distribution=validation.out_of_distribution,
        )
        for index, (validation, (rollouts, tokens, of_teacher, spent)) in enumerate(
            zip(validations, costs, strict=True)
        )
        if validation is not None
    )


def round_point(report: StepReport) -> RoundPoint:
    """What a round was made of, from its report."""
    bcq, ncq = report.bcq or _NO_BCQ, report.ncq or _NO_NCQ
    entropies = [update.entropy for update in report.updates if update.active_tokens]
    return RoundPoint(
        round=report.round,
        groups={kind.kind: kind.groups for kind in report.kinds},
        replayed=report.replayed_questions,
        accuracy={kind.kind: kind.accuracy for kind in report.kinds if kind.accuracy is not None},
        zero_advantage_groups=report.zero_advantage_groups,
        positive_advantage_rollouts=report.positive_advantage_rollouts,
        buffer=report.buffer.size,
        entropy=fmean(entropies) if entropies else None,
        bcq_correct_candidate=bcq.correct_candidate,
        bcq_wrong_candidate=bcq.wrong_candidate,
        bcq_neither=bcq.neither,
        bcq_correct_first=bcq.correct_first,
        bcq_accuracy_correct_first=bcq.accuracy_correct_first,
        bcq_accuracy_correct_second=bcq.accuracy_correct_second,
        ncq_repeats_listed=ncq.repeats_listed,
        ncq_matches_teacher=ncq.matches_teacher,
    )


def fates(events: Sequence[BufferEvent], final: ReplayBuffer) -> tuple[Fate, ...]:
    """What became of every entry of the buffer, counted by entry accuracy and visits, ascending.

    Args:
        events: Of all rounds.
        final: The buffer after the last round.
    """
    ends: Counter[tuple[float, int, str]] = Counter(
        (event.entry_accuracy, event.visits, event.event) for event in events
    )
    ends.update((entry.entry_accuracy, entry.visits, "remain") for entry in final.entries)
    places = sorted({(accuracy, visits) for accuracy, visits, end in ends if end != "admit"})
    return tuple(
        Fate(
            entry_accuracy=accuracy,
            visits=visits,
            graduated=ends[accuracy, visits, "graduate"],
            evicted=ends[accuracy, visits, "evict"],
            remaining=ends[accuracy, visits, "remain"],
        )
        for accuracy, visits in places
    )


def used_tokens(
    rounds: Sequence[Sequence[ServedResponses]], pooled: Mapping[str, Sequence[int]]
) -> list[int]:
    """Tokens of the teacher responses that each round used first: taken from the pool, or drawn online.

    Args:
        rounds: What each round recorded of the teacher.
        pooled: Tokens of a question's responses in the pool, in its order.
    """
    taken: Counter[str] = Counter()
    used = []
    for served in rounds:
        tokens = 0
        for visit in served:
            start = taken[visit.question_id]
            taken[visit.question_id] += visit.served
            fresh = pooled.get(visit.question_id, ())[start : start + visit.served]
            tokens += sum(fresh) + visit.tokens
        used.append(tokens)
    return used


def _seconds(store: LocalStore, paths: RunPaths, rounds: int) -> list[float]:
    timings = (read_timings(store, paths, index).seconds for index in range(1, rounds + 1))
    return [sum(seconds.get(phase, 0.0) for phase in COLLECTING) for seconds in timings]


def _teacher_tokens(store: LocalStore, paths: RunPaths, rounds: int, pool: str) -> list[int]:
    served = [read_served(store.file(paths.collect(index), ROUND)) for index in range(1, rounds + 1)]
    pooled: dict[str, list[int]] = defaultdict(list)
    if pool:
        table = pq.read_table(store.file(pool, RESPONSES), columns=["question_id", "tokens"])
        for question, tokens in zip(*(table[name].to_pylist() for name in table.column_names), strict=True):
            pooled[question].append(tokens)
    return used_tokens(served, pooled)


def _teacher_accuracy(store: LocalStore, pool: str) -> float | None:
    if not pool:
        return None
    report = read_artifact(store, pool, REPORT, TeacherPool)
    return ratio(report.correct, report.responses)
