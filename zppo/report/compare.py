"""Runs side by side: what differs in their recipes, then what came out of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from schemas.config.machine import HourlyPrice
from zppo.report.contents import findings, history_costs, run_head
from zppo.report.costs import total_cost
from zppo.report.history import RunHistory
from zppo.report.model import AccuracyRow, Chart, CostRow, Finding, Result, Series
from zppo.report.page import compact, render
from zppo.report.result import run_result
from zppo.report.series import thinned
from zppo.report.single import SHARED_CHARTS, history_charts


@dataclass(frozen=True)
class Setting:
    """A setting that the runs do not share."""

    key: str
    values: tuple[str | None, ...]
    """One a run; None where its recipe has no such setting."""


@dataclass(frozen=True)
class Side:
    """One of the runs."""

    name: str
    state: str
    subtitle: str
    result: Result
    findings: tuple[Finding, ...]
    costs: tuple[CostRow, ...]
    """Of each part, then of all."""


@dataclass(frozen=True)
class ComparedCost:
    """What one part took."""

    part: str
    rows: tuple[CostRow | None, ...]
    """One a run; None where it has no such part."""


def comparison_page(histories: Sequence[RunHistory], price: HourlyPrice | None = None) -> str:
    """The runs as one HTML page.

    Args:
        histories: The runs.
        price: Of the machine.
    """
    names = [history.name for history in histories]
    sides = [_side(history, price) for history in histories]
    charts = compared_charts({history.name: history_charts(history) for history in histories})
    return render(
        "compare.html.jinja",
        f"{', '.join(names)} – zppo report",
        {"charts": compact([thinned(chart).model_dump(mode="json") for chart in charts])},
        names=names,
        sides=sides,
        settings=recipe_differences([history.record.recipe.model_dump(mode="json") for history in histories]),
        rows=compared_rows({side.name: side.result for side in sides}),
        costs=compared_costs([side.costs for side in sides]),
    )


def recipe_differences(recipes: Sequence[Mapping[str, JsonValue]]) -> tuple[Setting, ...]:
    """The settings in which recipes differ, by their dotted names."""
    flat = [dict(_flat(recipe)) for recipe in recipes]
    keys = sorted({key for recipe in flat for key in recipe})
    rows = (Setting(key, tuple(recipe.get(key) for recipe in flat)) for key in keys)
    return tuple(row for row in rows if len(set(row.values)) > 1)


def compared_rows(results: Mapping[str, Result]) -> tuple[AccuracyRow, ...]:
    """For each accuracy the base and what every run reached, with the run's name."""
    labels = list(dict.fromkeys(row.label for result in results.values() for row in result.rows))
    return tuple(_compared_row(label, results) for label in labels)


def compared_costs(costs: Sequence[Sequence[CostRow]]) -> tuple[ComparedCost, ...]:
    """Every part that any run has, in the order of the one with the most."""
    by_part = [{row.part: row for row in rows} for rows in costs]
    parts = dict.fromkeys(part for rows in sorted(by_part, key=len, reverse=True) for part in rows)
    total = next(reversed(by_part[0]))
    ordered = [*(part for part in parts if part != total), total]
    return tuple(ComparedCost(part, tuple(rows.get(part) for rows in by_part)) for part in ordered)


def compared_charts(charts: Mapping[str, Sequence[Chart]]) -> tuple[Chart, ...]:
    """One chart for each series that several runs have, with a line for each run."""
    return tuple(
        chart for key, label in SHARED_CHARTS if (chart := _compared_chart(key, label, charts)) is not None
    )


def _flat(value: JsonValue | Mapping[str, JsonValue], prefix: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(inner, f"{prefix}.{name}" if prefix else name)
    elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
        for place, inner in enumerate(value):
            yield from _flat(inner, f"{prefix}[{place}]")
    else:
        yield prefix, compact(value)


def _side(history: RunHistory, price: HourlyPrice | None) -> Side:
    head, costs = run_head(history), history_costs(history, price)
    result = run_result(history.evaluation, history.decision, history.base, history.reports)
    return Side(
        history.name, head.state, head.subtitle, result, findings(history), (*costs, total_cost(costs))
    )


def _compared_row(label: str, results: Mapping[str, Result]) -> AccuracyRow:
    rows = {name: row for name, result in results.items() for row in result.rows if row.label == label}
    bars = [
        bar.model_copy(update={"who": f"{name}, {bar.who}"}) for name, row in rows.items() for bar in row.bars
    ]
    questions = {row.questions for row in rows.values()}
    return AccuracyRow(
        label=label, questions=questions.pop() if len(questions) == 1 else None, bars=tuple(bars)
    )


def _compared_chart(key: str, label: str, charts: Mapping[str, Sequence[Chart]]) -> Chart | None:
    found = {
        name: (chart, series)
        for name, own in charts.items()
        for chart in own
        for series in chart.series
        if chart.key == key and series.label == label
    }
    if not found:
        return None
    places = sorted({place for chart, _ in found.values() for place in chart.x})
    values = {name: dict(zip(chart.x, series.values, strict=True)) for name, (chart, series) in found.items()}
    first = next(iter(found.values()))[0]
    return Chart(
        key=f"{key}-{''.join(letter if letter.isalnum() else '-' for letter in label.lower())}",
        title=f"{first.title}: {label}",
        note="",
        x_label=first.x_label,
        x=tuple(places),
        series=tuple(
            Series(label=name, values=tuple(known.get(place) for place in places))
            for name, known in values.items()
        ),
        unit=first.unit,
    )
