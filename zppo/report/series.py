"""How step reports become the series of charts."""

from collections.abc import Callable, Iterator, Sequence

from schemas.report import StepReport, UpdateReport
from schemas.rollout import PromptKind
from zppo.core.report import KINDS
from zppo.report.model import Chart, Series

Value = Callable[[StepReport], float | None]
"""One number of a round; None where it has none."""
NAMES: dict[PromptKind, str] = {
    "plain": "plain",
    "bcq": "BCQ",
    "ncq": "NCQ",
    "hint": "hint",
    "prefix": "prefix",
    "extra": "extra plain",
}


def over_rounds(
    key: str,
    title: str,
    note: str,
    reports: Sequence[StepReport],
    series: Sequence[Series],
    unit: str,
    stacked: bool = False,
) -> Chart:
    """A chart over rounds."""
    return Chart.model_validate(
        {
            "key": key,
            "title": title,
            "note": note,
            "x": places(reports),
            "series": tuple(series),
            "unit": unit,
            "style": "stacked" if stacked else "lines",
        }
    )


def places(reports: Sequence[StepReport]) -> tuple[float, ...]:
    """The rounds."""
    return tuple(float(report.round) for report in reports)


def line(label: str, reports: Sequence[StepReport], value: Value) -> Series:
    """One number of every round."""
    return Series(label=label, values=tuple(value(report) for report in reports))


PLACES = 1000
"""Of a chart on a page, at most: more than it has pixels."""


def thinned(chart: Chart) -> Chart:
    """The chart as a page holds it: values to five digits, and of very many rounds some, the last one too."""
    step = -(-len(chart.x) // PLACES)
    kept = sorted({*range(0, len(chart.x), max(1, step)), *range(len(chart.x))[-1:]})
    series = tuple(
        Series(label=each.label, values=tuple(_rounded(each.values[place]) for place in kept))
        for each in chart.series
    )
    told = (
        f"{chart.note} Of {len(chart.x):,} rounds one in {step} is here.".strip() if step > 1 else chart.note
    )
    return chart.model_copy(
        update={"x": tuple(chart.x[place] for place in kept), "series": series, "note": told}
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")


def drawn_kinds(reports: Sequence[StepReport]) -> list[PromptKind]:
    """The kinds of prompt that any round drew, in their usual order."""
    drawn = {each.kind for report in reports for each in report.kinds}
    return [kind for kind in KINDS if kind in drawn]


def by_kind(reports: Sequence[StepReport], field: str) -> Iterator[tuple[str, list[float | None]]]:
    """One field of `KindReport` for every kind that was drawn, with the kind's name."""
    for kind in drawn_kinds(reports):
        found = [report.of_kind(kind) for report in reports]
        yield NAMES[kind], [getattr(each, field) if each else None for each in found]


def mean_update(report: StepReport, name: str) -> float | None:
    """Mean of one field over the updates that changed the weights."""
    found = [getattr(update, name) for update in report.updates if update.active_tokens]
    known = [value for value in found if value is not None]
    return sum(known) / len(known) if known else None


def of_update(name: str) -> Value:
    """The mean of one field over the round's updates."""
    assert name in UpdateReport.model_fields, name
    return lambda report: mean_update(report, name)


def part(name: str, field: str) -> Value:
    """A field of a part of the report that a round may lack, such as its audits."""
    assert name in StepReport.model_fields, name

    def value(report: StepReport) -> float | None:
        found = getattr(report, name)
        return None if found is None else getattr(found, field)

    return value
