"""What the page of a run shows: the tables and JSON texts that its template and script read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import yaml

from schemas.config.machine import HourlyPrice
from schemas.config.teacher import EndpointTeacher, ModelTeacher
from schemas.run import RunState
from zppo.report.answering import answering_costs
from zppo.report.checks import Evidence, run_checks
from zppo.report.costs import Expenses, run_costs, total_cost
from zppo.report.details import question_details
from zppo.report.history import RunHistory
from zppo.report.model import CostRow, Finding
from zppo.report.page import compact, render
from zppo.report.result import run_result
from zppo.report.sample import choose_sample
from zppo.report.series import thinned
from zppo.report.single import history_charts
from zppo.report.table import TABLE_TEXT_BYTES, question_summaries, question_table
from zppo.runs import run_state

PAGE_BYTES = 10_000_000
"""Of a page that is a file."""
OTHER_BYTES = 600_000
"""Of a page besides its charts, its table of questions and its questions in full."""
DETAIL_BYTES = 4_800_000
"""Of the questions shown in full, at most; long runs leave them less."""
RELOAD_SECONDS = 4


@dataclass(frozen=True)
class Head:
    """The first lines of a page."""

    name: str
    state: RunState
    subtitle: str


def run_page(history: RunHistory, price: HourlyPrice | None = None, version: str | None = None) -> str:
    """The report of a run as HTML.

    Args:
        history: The run.
        price: Of the machine.
        version: Given where a server answers for the page: then full texts are asked for, not included.
    """
    charts = compact([thinned(chart).model_dump(mode="json") for chart in history_charts(history)])
    room = PAGE_BYTES - OTHER_BYTES - TABLE_TEXT_BYTES - len(charts.encode())
    details = _details(history, min(room, DETAIL_BYTES)) if version is None else {}
    questions = question_summaries(history)
    table = question_table(questions, details)
    live = {"live": compact({"version": version, "seconds": RELOAD_SECONDS})} if version else {}
    costs = history_costs(history, price)
    return render(
        "run.html.jinja",
        f"{history.name} – zppo report",
        {
            "charts": charts,
            "questions": table.content,
            "details": "{" + ",".join(f"{compact(id)}:{text}" for id, text in details.items()) + "}",
            **live,
        },
        live=version is not None,
        run=run_head(history),
        result=run_result(history.evaluation, history.decision, history.base, history.reports),
        costs=costs,
        total=total_cost(costs),
        price=price,
        findings=findings(history),
        sample_note=_sample_note(history, len(questions), table.left_out, len(details), version is not None),
        recipe=yaml.safe_dump(history.record.recipe.model_dump(mode="json"), sort_keys=False, width=100),
    )


def findings(history: RunHistory) -> tuple[Finding, ...]:
    """Every check of a run, the worst first."""
    return run_checks(Evidence(history.record.recipe, history.reports, history.evaluation))


def _details(history: RunHistory, room: int) -> dict[str, str]:
    """JSON of the sampled questions, in the order of their claim, as far as there is room, in bytes."""
    ids = choose_sample(history.lives, history.record.recipe.method.tau)
    texts = {id: detail.model_dump_json() for id, detail in question_details(history, ids).items()}
    return dict(_fitting(texts, room))


def _fitting(texts: Mapping[str, str], left: int) -> Iterator[tuple[str, str]]:
    for id, text in texts.items():
        # As it will stand in the file, where each `<` takes six characters.
        size = len(text.encode()) + 5 * text.count("<")
        if size <= left:
            left -= size
            yield id, text


def history_costs(history: RunHistory, price: HourlyPrice | None) -> tuple[CostRow, ...]:
    """What each part of a run took."""
    recipe, evaluation = history.record.recipe, history.evaluation
    return run_costs(
        Expenses(
            recipe=recipe,
            reports=history.reports,
            timings=history.timings,
            pool=history.pool_report,
            judge=history.judge_spend,
            evaluation=evaluation,
            answering=answering_costs(history.store, evaluation, recipe) if evaluation else {},
            price=price,
        )
    )


def run_head(history: RunHistory) -> Head:
    """What a page says first of a run."""
    recipe, done = history.record.recipe, len(history.reports)
    last = history.manifest(history.paths.update(done)) if done else None
    parts = [
        f"{recipe.method.type} of {recipe.student.model}",
        _teacher(history),
        f"{done} of {recipe.rounds} rounds",
        f"seed {recipe.seed}",
        f"last round committed {last.provenance.created:%Y-%m-%d %H:%M} UTC" if last else "",
    ]
    return Head(
        name=history.name,
        state=_state(history),
        subtitle=" · ".join(part for part in parts if part),
    )


def _state(history: RunHistory) -> RunState:
    """As `zppo status` has it, but that a run with a decision is finished while it writes its report."""
    decided = history.decision is not None
    return run_state(
        held=history.running and not decided,
        trained=len(history.reports) == history.record.recipe.rounds,
        evaluated=history.evaluation is not None,
        finished=decided,
    )


def _teacher(history: RunHistory) -> str:
    teacher = history.record.recipe.teacher
    match teacher:
        case ModelTeacher():
            return f"teacher {teacher.model.model}"
        case EndpointTeacher():
            return f"teacher {teacher.model}, at an endpoint"
        case _:
            return f"teacher: {teacher.type}"


def _sample_note(history: RunHistory, questions: int, left_out: int, full: int, live: bool) -> str:
    drawn = len(history.lives.visits)
    parts = [f"{questions:,} training questions, {drawn:,} of them rolled out so far."]
    if left_out:
        parts.append(f"{left_out:,} had no place in this table, those with the fewest visits.")
    if live:
        parts.append("Choose a question to see its whole life.")
    else:
        parts.append(
            f"Full text of {full} of them is in this file (names in blue), a sample by a hash of ids, in "
            "turns among those that graduated with help, were hard and had BCQ and NCQ, stayed hopeless, "
            f"were evicted, and any. See all others with: zppo report {history.name} --watch"
        )
    return " ".join(parts)
