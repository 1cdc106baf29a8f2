"""Panels of mean lines with bands, one line a variant."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator

from schemas.study import StudyRun
from zppo.core.study.curves import MeanCurve
from zppo.core.study.records import Cell
from zppo.study.report.figures.style import Look, Looks, grid
from zppo.study.report.view import View

_THOUSANDS = 5_000
"""Amounts beyond this are written with `k` or `M`."""


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    title: str
    cell: Cell
    read: Callable[[Sequence[StudyRun]], MeanCurve | None]
    """From the runs of a variant to its line; None where it has none."""
    x_label: str
    y_label: str


def line_figure(view: View, looks: Looks, panels: Sequence[Panel], columns: int) -> Figure | None:
    """The panels that have a line, row by row, under one legend; None without any."""
    found = [(panel, _curves(view, looks, panel)) for panel in panels]
    found = [(panel, curves) for panel, curves in found if curves]
    if not found:
        return None
    figure, places = grid(len(found), columns, height=3.0)
    for axes, (panel, curves) in zip(places, found, strict=True):
        for variant, curve in curves.items():
            _draw_curve(axes, curve, looks[variant])
        axes.set(title=panel.title, xlabel=panel.x_label, ylabel=panel.y_label)
        axes.margins(x=0.02)
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 4, 5, 8, 10], integer=True))
        if axes.get_xlim()[1] > _THOUSANDS:
            axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    drawn = {variant for _, curves in found for variant in curves}
    handles = [_handle(look, view.title(variant)) for variant, look in looks.items() if variant in drawn]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(4, len(handles)))
    return figure


def _curves(view: View, looks: Looks, panel: Panel) -> dict[str, MeanCurve]:
    found = {variant: panel.read(view.runs(variant, panel.cell)) for variant in looks}
    return {variant: curve for variant, curve in found.items() if curve is not None}


def _draw_curve(axes: Axes, curve: MeanCurve, look: Look) -> None:
    axes.plot(curve.amounts, curve.means, color=look.colour, linestyle=look.dash, linewidth=1.8)
    if curve.band is not None:
        axes.fill_between(curve.amounts, *curve.band, color=look.colour, alpha=0.13, linewidth=0)


def _handle(look: Look, label: str) -> Line2D:
    return Line2D([], [], color=look.colour, linestyle=look.dash, linewidth=2.5, label=label)
