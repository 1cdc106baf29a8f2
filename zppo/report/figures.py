"""The charts of a run as pictures for papers."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from zppo.report.model import Chart, Series
from zppo.study.report.figures.style import Picture, save, style

SIZE = (7.0, 3.6)
"""Inches."""
_COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#b5578f", "#c98a00", "#56a4d9", "#4a4f5a", "#8c6d31",
    "#6a51a3", "#b22234", "#5c8a00", "#00868b",
)  # fmt: skip
"""Those of the page's light theme."""


def write_figures(charts: Sequence[Chart], directory: Path) -> list[Path]:
    """Draw every chart as PNG and SVG; returns the PNG files.

    Args:
        charts: Of a run.
        directory: Made where it is missing; files of the same names are replaced.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with style():
        for chart in charts:
            save(Picture(chart.key, chart.title, draw(chart)), directory)
    return [directory / f"{chart.key}.png" for chart in charts]


def draw(chart: Chart) -> Figure:
    """One chart."""
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set_prop_cycle(color=_COLOURS)
    match chart.style:
        case "lines":
            for series in chart.series:
                _line(axes, chart, series)
        case "stacked":
            layers = [[value or 0.0 for value in series.values] for series in chart.series]
            axes.stackplot(chart.x, layers, labels=[series.label for series in chart.series], alpha=0.8)
        case "bars":
            _columns(axes, chart)
    axes.set(xlabel=chart.x_label, title=chart.title, ylim=(0, None))
    if chart.unit == "share":
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    elif chart.unit == "seconds":
        axes.set_ylabel("seconds")
    if len(chart.series) > 1:
        figure.legend(loc="outside right upper")
    return figure


def _line(axes: Axes, chart: Chart, series: Series) -> None:
    points = [(x, y) for x, y in zip(chart.x, series.values, strict=True) if y is not None]
    axes.plot(
        *zip(*points, strict=True), label=series.label, marker="o" if len(points) <= 20 else "", markersize=3
    )


def _columns(axes: Axes, chart: Chart) -> None:
    below = [0.0] * len(chart.x)
    names = [f"{x:g}" for x in chart.x]
    for series in chart.series:
        heights = [value or 0.0 for value in series.values]
        axes.bar(names, heights, bottom=below, label=series.label)
        below = [low + height for low, height in zip(below, heights, strict=True)]
