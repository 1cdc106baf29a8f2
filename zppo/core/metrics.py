"""A step report as flat metrics, under names that stay."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import floor

from schemas.report import JudgeReport, RoundTimings, StepReport, UpdateReport
from schemas.rollout import PromptKind
from zppo.core.report import KINDS

Metrics = Iterator[tuple[str, float | None]]
MANY_VISITS = 8
"""Questions that the buffer replayed so often, or oftener, are counted together."""


def round_metrics(report: StepReport, timings: RoundTimings) -> dict[str, float]:
    """Every number of a round by name, `/` between the parts; what was not measured is left out."""
    named = (
        *_composition(report),
        *_kinds(report),
        *_audits(report),
        *_buffer(report),
        *_teacher(report),
        *_judge(report.judge),
        *_updates(report.updates),
        *((f"seconds/{phase}", seconds) for phase, seconds in timings.seconds.items()),
    )
    return {name: float(value) for name, value in named if value is not None}


def _composition(report: StepReport) -> Metrics:
    yield "questions/new", report.new_questions
    yield "questions/replayed", report.replayed_questions
    yield "questions/hard", report.hard_questions
    yield "share/easy", report.easy
    yield from ((f"share/eligible_{kind}", share) for kind, share in report.eligible.items())
    yield "share/zero_advantage_groups", report.zero_advantage_groups
    yield "share/positive_advantage_rollouts", report.positive_advantage_rollouts
    if report.validation is not None:
        yield "validation/accuracy", report.validation.accuracy
        yield "validation/out_of_distribution", report.validation.out_of_distribution
    if report.drift is not None:
        yield "drift/mean", report.drift.mean
        yield "drift/max", report.drift.max


def _kinds(report: StepReport) -> Metrics:
    for each in report.kinds:
        yield f"{each.kind}/groups", each.groups
        yield f"{each.kind}/accuracy", each.accuracy
        yield f"{each.kind}/truncated", each.truncated
        yield f"{each.kind}/no_answer", each.no_answer
        yield f"{each.kind}/zero_advantage", each.zero_advantage
        yield f"{each.kind}/prompt_tokens", each.prompt_tokens
        yield f"{each.kind}/response_tokens", each.response_tokens
        yield (
            f"{each.kind}/mean_response_tokens",
            each.response_tokens / each.rollouts if each.rollouts else None,
        )
        yield f"{each.kind}/engine_errors", each.engine_errors
        yield f"{each.kind}/grader_errors", each.grader_errors


def _audits(report: StepReport) -> Metrics:
    if report.bcq is not None:
        yield "bcq/correct_candidate", report.bcq.correct_candidate
        yield "bcq/wrong_candidate", report.bcq.wrong_candidate
        yield "bcq/neither", report.bcq.neither
        yield "bcq/correct_first", report.bcq.correct_first
        yield "bcq/accuracy_correct_first", report.bcq.accuracy_correct_first
        yield "bcq/accuracy_correct_second", report.bcq.accuracy_correct_second
    if report.ncq is not None:
        yield "ncq/repeats_listed", report.ncq.repeats_listed
        yield "ncq/matches_teacher", report.ncq.matches_teacher


def _buffer(report: StepReport) -> Metrics:
    waiting: Counter[str] = Counter()
    for accuracy, entries in report.buffer.by_entry_accuracy:
        waiting[_entry(accuracy)] += entries
    yield "buffer/size", report.buffer.size
    yield from _counts("size", waiting)
    for name in ("admit", "graduate", "evict"):
        events = [event for event in report.buffer.events if event.event == name]
        yield f"buffer/{name}", len(events)
        yield from _counts(name, Counter(_entry(event.entry_accuracy) for event in events))
        if name != "admit":
            yield from _counts(name, Counter(_visits(event.visits) for event in events))


def _counts(name: str, counts: Mapping[str, int]) -> Metrics:
    """Counts of one name; zeros are left out, for few of the many cases occur in a round."""
    yield from ((f"buffer/{name}_{case}", count) for case, count in counts.items())


def _entry(accuracy: float) -> str:
    """Entry accuracy in eighths, rounded down: exact for groups of 8, 4 and 2."""
    return f"from_{floor(8 * accuracy)}_of_8"


def _visits(count: int) -> str:
    return f"after_{count}_visits" if count < MANY_VISITS else f"after_{MANY_VISITS}_or_more_visits"


def _teacher(report: StepReport) -> Metrics:
    for name, value in report.teacher.model_dump(exclude={"spend"}).items():
        yield f"teacher/{name}", value
    if report.teacher.spend is not None:
        for name, value in report.teacher.spend.used.model_dump().items():
            yield f"teacher/endpoint_{name}", value
        yield "teacher/endpoint_money", report.teacher.spend.money


def _judge(report: JudgeReport | None) -> Metrics:
    if report is None:
        return
    yield "judge/judged", report.judged
    yield "judge/malformed", report.malformed
    for name, value in report.spend.used.model_dump().items():
        yield f"judge/{name}", value
    yield "judge/money", report.spend.money


def _updates(updates: Sequence[UpdateReport]) -> Metrics:
    """Tokens in all, everything else as the mean over the mini-batches that changed the weights."""
    made = [update for update in updates if update.active_tokens]
    yield "update/count", len(made)
    for name in UpdateReport.model_fields:
        if name in ("tokens", "active_tokens"):
            yield f"update/{name}", sum(getattr(update, name) for update in updates)
        else:
            values = [value for update in made if (value := getattr(update, name)) is not None]
            yield f"update/{name}", sum(values) / len(values) if values else None


def table_rows(reports: Sequence[StepReport]) -> list[dict[str, str]]:
    """Rounds for people, one a row, accuracies with three digits; kinds that no round has are left out."""
    drawn = {each.kind for report in reports for each in report.kinds}
    kinds = [kind for kind in KINDS if kind in drawn]
    return [_table_row(report, kinds) for report in reports]


def _table_row(report: StepReport, kinds: Sequence[PromptKind]) -> dict[str, str]:
    row = {"round": str(report.round)}
    for kind in kinds:
        found = report.of_kind(kind)
        row[kind] = _digits(found.accuracy if found else None)
    row["held out"] = _digits(report.validation.accuracy if report.validation else None)
    row["hard"] = f"{report.hard_questions} of {report.new_questions + report.replayed_questions}"
    row["buffer"] = str(report.buffer.size)
    row["gradient norm"] = _digits(max((update.grad_norm for update in report.updates), default=None))
    return row


def _digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
