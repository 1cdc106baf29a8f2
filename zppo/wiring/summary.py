"""What a person reads at the end of a run."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from schemas.config.teacher import EndpointTeacher
from schemas.evaluation import Evaluation, ModelScores, Score
from schemas.promotion import PromotionDecision
from schemas.report import StepReport
from schemas.rollout import PromptKind
from schemas.spend import EndpointSpend
from zppo.core.champions import rolled_back
from zppo.endpoints.spending import SpendLog
from zppo.picture import draw_accuracy
from zppo.progress import clock_text
from zppo.report.contents import run_page
from zppo.report.history import RunHistory
from zppo.runs import PAGE, PICTURE, SUMMARY
from zppo.stages.timings import read_timings
from zppo.stages.train import read_base, read_reports
from zppo.stores.identity import identify
from zppo.wiring.champions import champion_moves
from zppo.wiring.context import RunContext
from zppo.wiring.evaluate import read_evaluation
from zppo.wiring.promote import needs_approval, read_decision


def run_summary(run: RunContext, publish: Callable[[Path], None]) -> str:
    """Write summary, picture and report of a run; returns their path. A run that has them is finished.

    Args:
        run: Promoted or not, but decided.
        publish: Told of each file before the commit.
    """
    path = run.paths.summary
    identity = identify("summary", {}, [run.committed(run.paths.promotion)])
    if run.store.find(path, identity) is None:
        with run.store.commit(path, identity) as staging:
            _write(run, staging.directory)
            for name in (SUMMARY, PICTURE, PAGE):
                publish(staging.directory / name)
    return path


def _write(run: RunContext, directory: Path) -> None:
    reports = read_reports(run.store, run.paths)
    title = f"{run.name}: {run.config.method.type}, {run.config.student.model}"
    draw_accuracy(read_base(run.store, run.paths), reports, title, directory / PICTURE)
    text = summary_text(run, reports, read_evaluation(run), read_decision(run))
    (directory / SUMMARY).write_text(text + "\n")
    page = run_page(RunHistory(run.store.home, run.name), run.runtime.price)
    (directory / PAGE).write_text(page, encoding="utf-8")


def summary_text(
    run: RunContext, reports: list[StepReport], evaluation: Evaluation, decision: PromotionDecision
) -> str:
    """The summary as Markdown that reads well as plain text too."""
    lines = [
        f"# {run.name}: {run.config.method.type}, {len(reports)} round{'s' * (len(reports) != 1)}",
        "",
        *_accuracy_table(evaluation),
        "",
        f"Intervals: {evaluation.confidence:.0%}, bootstrap over questions. {_baseline(evaluation)}",
        f"Prompts: {_prompts(reports)}",
        f"Replay buffer: {_buffer(reports)}",
        f"Time of the rounds: {_time(run, reports)}",
        *_teacher(run),
        *_judge(run, reports),
        f"Promotion: {decision.reason}.",
        f"Registered: {decision.challenger.model}{_champion(run, decision)}",
    ]
    return "\n".join(lines)


def _champion(run: RunContext, decision: PromotionDecision) -> str:
    """What became of the version; a decision alone does not tell."""
    version = decision.challenger.model
    moves = champion_moves(run.store, decision.registered_model)
    if rolled_back(moves, version):
        return " (rolled back)"
    if any(move.version == version for move in moves):
        return " (made champion)"
    return " (left to somebody's approval)" if decision.promoted and needs_approval(run) else ""


def _accuracy_table(evaluation: Evaluation) -> list[str]:
    heading = "| accuracy | " + " | ".join(model.role for model in evaluation.models) + " |"
    rule = "| --- |" + " --- |" * len(evaluation.models)
    rows = [
        _row("held out", [model.in_distribution for model in evaluation.models]),
        _row("out of distribution", [model.out_of_distribution for model in evaluation.models]),
    ]
    for index, source in enumerate(evaluation.models[0].sources):
        label = source.source if source.kind is None else f"{source.source} {source.kind}"
        rows.append(_row(label, [_at(model, index) for model in evaluation.models]))
    return [heading, rule, *rows]


def _at(model: ModelScores, index: int) -> Score:
    return model.sources[index].score


def _row(label: str, scores: list[Score]) -> str:
    return f"| {label} | " + " | ".join(_score(score) for score in scores) + " |"


def _score(score: Score) -> str:
    if score.accuracy is None or score.interval is None:
        return "-"
    return f"{score.accuracy:.3f} [{score.interval.low:.3f}, {score.interval.high:.3f}]"


def _teacher(run: RunContext) -> list[str]:
    """What the teacher behind an endpoint cost; no line for other teachers."""
    config = run.config.teacher
    if not isinstance(config, EndpointTeacher):
        return []
    used = SpendLog(run.store.home / run.paths.teacher_spend).total()
    spend = EndpointSpend.of("teacher", used, config.prices)
    return [f"Teacher: {used.requests:,} requests to {config.model}; {spend.text} in the whole run"]


def _baseline(evaluation: Evaluation) -> str:
    parts = [f"{each.accuracy:.3f} on {each.source}" for each in evaluation.baselines]
    return f"Always the most common training answer: {', '.join(parts)}." if parts else ""


_KIND_NAMES: dict[PromptKind, str] = {
    "bcq": "BCQ",
    "ncq": "NCQ",
    "hint": "hints",
    "prefix": "prefixes",
    "extra": "extra plain groups",
}


def _prompts(reports: list[StepReport]) -> str:
    rounds = Counter(each.kind for report in reports for each in report.kinds)
    parts = [
        f"{_KIND_NAMES[kind]} in {rounds[kind]} of {len(reports)} rounds"
        for kind in _KIND_NAMES
        if rounds[kind]
    ]
    return ", ".join(parts) or "plain only"


def _buffer(reports: list[StepReport]) -> str:
    events = [event.event for report in reports for event in report.buffer.events]
    if not events:
        return "not used"
    return (
        f"{events.count('admit')} admitted, {events.count('graduate')} graduated, "
        f"{events.count('evict')} evicted, {reports[-1].buffer.size} left"
    )


def _judge(run: RunContext, reports: list[StepReport]) -> list[str]:
    """What the judge did; no line without one."""
    if run.grading.judge is None:
        return []
    judged = [report.judge for report in reports if report.judge is not None]
    malformed = sum(each.malformed for each in judged)
    return [
        f"Judge: {sum(each.judged for each in judged):,} rollouts judged, {malformed:,} of the verdicts "
        f"unreadable (counted as wrong); {run.grading.judge.total.text} in the whole run"
    ]


def _time(run: RunContext, reports: list[StepReport]) -> str:
    total: dict[str, float] = {}
    for report in reports:
        for phase, seconds in read_timings(run.store, run.paths, report.round).seconds.items():
            total[phase] = total.get(phase, 0.0) + seconds
    return ", ".join(f"{phase} {clock_text(seconds)}" for phase, seconds in sorted(total.items()))
