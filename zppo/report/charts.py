"""The charts of a run, from its step reports and timings."""

from collections.abc import Sequence

from schemas.report import RoundTimings, StepReport, ValidationReport
from schemas.rollout import PromptKind
from zppo.core.report import KINDS
from zppo.report.buffer_charts import buffer_flow, buffer_occupancy, fate_by_entry, fate_by_visits
from zppo.report.model import Chart, Series
from zppo.report.series import NAMES, Value, by_kind, drawn_kinds, line, over_rounds, part, places
from zppo.report.update_charts import clipping, divergence, drift, entropy, gradient_norm


def run_charts(
    base: ValidationReport | None, reports: Sequence[StepReport], timings: Sequence[RoundTimings]
) -> tuple[Chart, ...]:
    """Every chart that has something to show, in the order of a reader's questions.

    Args:
        base: Validation before training.
        reports: Of the committed rounds, in order.
        timings: Of the same rounds.
    """
    drawn = (
        accuracy(base, reports),
        composition(reports),
        eligible(reports),
        signal(reports),
        buffer_occupancy(reports),
        buffer_flow(reports),
        fate_by_visits(reports),
        fate_by_entry(reports),
        bcq_audit(reports),
        ncq_audit(reports),
        divergence(reports),
        entropy(reports),
        clipping(reports),
        gradient_norm(reports),
        lengths(reports),
        truncations(reports),
        drift(reports),
        seconds(timings),
    )
    return tuple(chart for chart in map(_without_empty, drawn) if chart.series and chart.x)


def _without_empty(chart: Chart) -> Chart:
    """The chart without series that have no value at all."""
    kept = tuple(each for each in chart.series if any(value is not None for value in each.values))
    return chart.model_copy(update={"series": kept})


def accuracy(base: ValidationReport | None, reports: Sequence[StepReport]) -> Chart:
    """Of the rollouts by kind, and of the student on held-out questions."""
    held_out = [base, *(report.validation for report in reports)]
    series = [Series(label=label, values=(None, *values)) for label, values in by_kind(reports, "accuracy")]
    return Chart(
        key="accuracy",
        title="Accuracy",
        note="Of the round's rollouts by kind of prompt, and of the student on validation questions that it "
        "is never trained on. BCQ and NCQ are drawn for hard questions only.",
        x=(0.0, *places(reports)),
        series=(
            *series,
            Series(label="validation", values=tuple(each.accuracy if each else None for each in held_out)),
            Series(
                label="validation, out of distribution",
                values=tuple(each.out_of_distribution if each else None for each in held_out),
            ),
        ),
        unit="share",
    )


def composition(reports: Sequence[StepReport]) -> Chart:
    """Groups of the batch."""

    def new(report: StepReport) -> float:
        plain = report.of_kind("plain")
        return (plain.groups if plain else 0) - report.replayed_questions

    series = [line("new, plain", reports, new)]
    series.append(line("replayed, plain", reports, lambda report: report.replayed_questions))
    for kind in drawn_kinds(reports):
        if kind != "plain":
            series.append(line(NAMES[kind], reports, _groups(kind)))
    return over_rounds(
        "composition",
        "Composition of the batch",
        "Groups that were rolled out in the round, by kind; they add up.",
        reports,
        series,
        "count",
        stacked=True,
    )


def eligible(reports: Sequence[StepReport]) -> Chart:
    """Shares of easy questions, and of those that admitted a reformulation before the cap."""
    kinds = [kind for kind in KINDS if any(kind in report.eligible for report in reports)]
    series = [line("easy", reports, lambda report: report.easy)]
    series += [line(f"admits {NAMES[kind]}", reports, _eligible(kind)) for kind in kinds]
    return over_rounds(
        "eligible",
        "Easy and reformulable questions",
        "Shares of the round's questions, before the cap on BCQ and NCQ.",
        reports,
        series,
        "share",
    )


def signal(reports: Sequence[StepReport]) -> Chart:
    """What there is to learn from; nothing of distillation, which has no advantages."""
    reports = [report for report in reports if report.positive_advantage_rollouts is not None]
    return over_rounds(
        "signal",
        "Groups without and rollouts with an advantage",
        "A group whose rewards are all equal has zero advantage and teaches nothing.",
        reports,
        [
            line("groups with zero advantage", reports, lambda report: report.zero_advantage_groups),
            line(
                "rollouts with positive advantage",
                reports,
                lambda report: report.positive_advantage_rollouts,
            ),
        ],
        "share",
    )


def bcq_audit(reports: Sequence[StepReport]) -> Chart:
    """Whose answer BCQ rollouts give, and whether the order matters."""
    return over_rounds(
        "bcq-audit",
        "BCQ audit",
        "Rollouts whose answer is the correct candidate's, the wrong one's, or neither's; and accuracy by "
        "the correct candidate's place, which should not matter.",
        reports,
        [
            line("the correct candidate's", reports, part("bcq", "correct_candidate")),
            line("the wrong candidate's", reports, part("bcq", "wrong_candidate")),
            line("neither's", reports, part("bcq", "neither")),
            line("accuracy, correct first", reports, part("bcq", "accuracy_correct_first")),
            line("accuracy, correct second", reports, part("bcq", "accuracy_correct_second")),
        ],
        "share",
    )


def ncq_audit(reports: Sequence[StepReport]) -> Chart:
    """Whether NCQ rollouts repeat what they were told is wrong."""
    return over_rounds(
        "ncq-audit",
        "NCQ audit",
        "Parroting: the answer is one that the prompt lists as wrong. The teacher's answer is not shown.",
        reports,
        [
            line("repeats a listed wrong answer", reports, part("ncq", "repeats_listed")),
            line("matches the teacher's answer", reports, part("ncq", "matches_teacher")),
        ],
        "share",
    )


def lengths(reports: Sequence[StepReport]) -> Chart:
    """Of responses."""
    return over_rounds(
        "lengths",
        "Response length",
        "Mean tokens of a response, by kind of prompt.",
        reports,
        [line(NAMES[kind], reports, _length(kind)) for kind in drawn_kinds(reports)],
        "count",
    )


def truncations(reports: Sequence[StepReport]) -> Chart:
    """Responses without a usable end."""
    no_answer, truncated = by_kind(reports, "no_answer"), by_kind(reports, "truncated")
    series = [Series(label=f"{label}, no answer", values=tuple(values)) for label, values in no_answer]
    series += [Series(label=f"{label}, truncated", values=tuple(values)) for label, values in truncated]
    return over_rounds(
        "truncations",
        "Responses without a parsable answer",
        "Truncated ones, cut off at the length limit, are among them.",
        reports,
        series,
        "share",
    )


PHASES = {
    "student": "student’s rollouts",
    "teacher": "teacher",
    "compression": "shortening of candidates",
    "judge": "judge",
    "grading": "grading",
    "other collecting": "other collecting",
    "drift": "check of the sampler",
    "update": "updates",
    "validation": "validation",
    "checkpoint": "checkpoint",
    "wait_for_writing": "waiting for the disk",
    "wait_for_tracking": "waiting for MLflow",
}
"""In the order of a round, with their names for a reader; `collect` is split into its parts and the rest."""


def seconds(timings: Sequence[RoundTimings]) -> Chart:
    """Of each phase of a round."""
    split = [split_collect(each.seconds) for each in timings]
    names = [name for name in PHASES if any(each.get(name) for each in split)]
    return Chart(
        key="seconds",
        title="Seconds of each phase",
        note="Wall clock of the round, stacked.",
        x=tuple(float(each.round) for each in timings),
        series=tuple(
            Series(label=PHASES[name], values=tuple(each.get(name, 0.0) for each in split)) for name in names
        ),
        style="stacked",
        unit="seconds",
    )


def split_collect(phases: dict[str, float]) -> dict[str, float]:
    """The phases of a round that add up to its time: `collect` becomes its parts and what is left of it."""
    inner = ("student", "teacher", "compression", "judge", "grading")
    rest = phases.get("collect", 0.0) - sum(phases.get(name, 0.0) for name in inner)
    outer = {name: value for name, value in phases.items() if name != "collect"}
    return outer | {"other collecting": max(0.0, rest)}


def _groups(kind: PromptKind) -> Value:
    return lambda report: found.groups if (found := report.of_kind(kind)) else 0


def _eligible(kind: PromptKind) -> Value:
    return lambda report: report.eligible.get(kind)


def _length(kind: PromptKind) -> Value:
    def mean(report: StepReport) -> float | None:
        found = report.of_kind(kind)
        return found.response_tokens / found.rollouts if found and found.rollouts else None

    return mean
