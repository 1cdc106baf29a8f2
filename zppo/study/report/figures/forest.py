"""Paired differences as a forest plot."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from schemas.config.study import Comparison
from schemas.study import Axis
from zppo.core.study.differences import AXES, Difference
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
    """Mean paired differences with their intervals: a row of panels a cell, a row in it a comparison."""
    if not differences:
        return
    measures = [measure for measure in MEASURES if any(each.measure == measure for each in differences)]
    cells = [cell for cell in view.records.cells if any(each.cell == cell for each in differences)]
    most = len({each.comparison for each in differences})
    figure, places = grid(len(cells) * len(measures), len(measures), height=1.1 + 0.5 * most)
    for axes, (cell, measure) in zip(places, product(cells, measures), strict=True):
        own = [each for each in differences if each.cell == cell]
        titles = {each.comparison: difference_title(view, each) for each in own}
        _draw_panel(axes, titles, [each for each in own if each.measure == measure])
        axes.set(title=view.panel_title(cell, MEASURES[measure]), xlabel="difference in accuracy")
        axes.tick_params(labelleft=measure == measures[0])
    figure.legend(handles=[_handle(axis) for axis in AXES], loc="outside lower center", ncols=3)
    caption = "Paired differences over seeds with their intervals; hollow where the interval contains zero"
    yield Picture("differences", caption, figure)


def _draw_panel(axes: Axes, titles: Mapping[Comparison, str], own: Sequence[Difference]) -> None:
    rows = list(titles)
    for each in own:
        _draw_mark(axes, rows.index(each.comparison) + (AXES.index(each.axis) - 1) * _APART, each)
    axes.axvline(0.0, color=GREY, linewidth=1.0, zorder=1)
    axes.set_yticks(range(len(rows)), list(titles.values()))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    for row in range(1, len(rows), 2):
        axes.axhspan(row - 0.5, row + 0.5, color="black", alpha=0.035, linewidth=0)


def _handle(axis: Axis) -> Line2D:
    mark, colour, label = _MARKS[axis]
    return Line2D([], [], marker=mark, color=colour, label=label)


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
