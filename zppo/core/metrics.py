"""A step report as flat metrics, under names that stay."""

from collections.abc import Iterator

from schemas.report import RoundTimings, StepReport, UpdateReport

Metrics = Iterator[tuple[str, float | None]]


def round_metrics(report: StepReport, timings: RoundTimings) -> dict[str, float]:
    """Every number of a round by name, `/` between the parts; what was not measured is left out."""
    named = (
        *_composition(report),
        *_kinds(report),
        *_audits(report),
        *_buffer(report),
        *_teacher(report),
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
    yield "buffer/size", report.buffer.size
    for event in ("admit", "graduate", "evict"):
        yield f"buffer/{event}", sum(each.event == event for each in report.buffer.events)


def _teacher(report: StepReport) -> Metrics:
    for name, value in report.teacher.model_dump().items():
        yield f"teacher/{name}", value


def _updates(updates: tuple[UpdateReport, ...]) -> Metrics:
    yield "update/count", len(updates)
    if not updates:
        return
    for name in UpdateReport.model_fields:
        values = [value for update in updates if (value := getattr(update, name)) is not None]
        yield f"update/{name}", sum(values) / len(values) if values else None


def table_row(report: StepReport) -> dict[str, str]:
    """A round in one row for people, accuracies with three digits."""
    row = {"round": str(report.round)}
    for kind in ("plain", "bcq", "ncq"):
        found = next((each for each in report.kinds if each.kind == kind), None)
        row[kind] = _digits(found.accuracy if found else None)
    row["held out"] = _digits(report.validation.accuracy if report.validation else None)
    row["hard"] = f"{report.hard_questions} of {report.new_questions + report.replayed_questions}"
    row["buffer"] = str(report.buffer.size)
    row["gradient norm"] = _digits(max((update.grad_norm for update in report.updates), default=None))
    return row


def _digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
