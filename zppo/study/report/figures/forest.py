"""Paired differences as a forest plot."""

from collections.abc import Iterator, Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from schemas.config.study import Comparison
from schemas.study import Axis, Measure
from zppo.core.study.differences import AXES, Difference
from zppo.core.study.records import Cell
from zppo.study.report.figures.curves import MEASURES
from zppo.study.report.figures.style import GREY, Picture, grid
from zppo.study.report.findings import difference_title
from zppo.study.report.view import View

_MARKS: dict[Axis, tuple[str, str, str]] = {
    "rounds": ("o", "#0072B2", "at equal rounds"),
    "rollouts": ("s", "#D55E00", "at equal student rollouts"),
    "seconds": ("^", "#009E73", "at equal time"),
}
_APART = 0.22
"""Vertical distance of the marks of one comparison, in rows."""


def forest_figure(view: View, differences: Sequence[Difference]) -> Iterator[Picture]:
    """Mean paired differences with their intervals: a row of panels a cell."""
    places_of = {
        (cell, measure): [each for each in differences if (each.cell, each.measure) == (cell, measure)]
        for cell in view.records.cells
        for measure in MEASURES
    }
    found = {place: own for place, own in places_of.items() if own}
    if not found:
        return
    most = max(len({each.comparison for each in own}) for own in found.values())
    figure, places = grid(len(found), columns=2, height=1.2 + 0.5 * most)
    for axes, ((cell, measure), own) in zip(places, found.items(), strict=True):
        _draw_panel(axes, view, cell, measure, own)
    handles = [
        Line2D([], [], marker=mark, color=colour, linestyle="-", label=label)
        for mark, colour, label in _MARKS.values()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    yield Picture("differences", "Paired differences over seeds, with their intervals", figure)


def _draw_panel(axes: Axes, view: View, cell: Cell, measure: Measure, own: Sequence[Difference]) -> None:
    titles: dict[Comparison, str] = {each.comparison: difference_title(view, each) for each in own}
    rows = list(titles)
    for each in own:
        _draw_mark(axes, rows.index(each.comparison) + (AXES.index(each.axis) - 1) * _APART, each)
    axes.axvline(0.0, color=GREY, linewidth=1.0)
    axes.set_yticks(range(len(rows)), list(titles.values()))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.set(title=view.panel_title(cell, MEASURES[measure]), xlabel="difference in accuracy")
    for row in range(1, len(rows), 2):
        axes.axhspan(row - 0.5, row + 0.5, color="black", alpha=0.035, linewidth=0)


def _draw_mark(axes: Axes, row: float, found: Difference) -> None:
    """A mark at the mean; hollow where the interval does not exclude zero."""
    estimate = found.contrast.estimate
    if estimate is None:
        return
    mark, colour, _ = _MARKS[found.axis]
    if estimate.interval is not None:
        axes.hlines(row, estimate.interval.low, estimate.interval.high, color=colour, linewidth=1.6)
    clear = estimate.above_zero or estimate.below_zero
    axes.plot(
        estimate.mean,
        row,
        marker=mark,
        color=colour,
        markersize=6,
        markerfacecolor=colour if clear else "white",
    )
