"""The figures of the report, as PNG and SVG."""

from collections.abc import Iterator, Sequence

from zppo.core.study.differences import Difference
from zppo.study.report.figures.buffer import fate_figures, graduation_figure
from zppo.study.report.figures.curves import curve_figures
from zppo.study.report.figures.forest import forest_figure
from zppo.study.report.figures.rounds import advantage_figure, audit_figures, composition_figures
from zppo.study.report.figures.style import Picture, palette
from zppo.study.report.view import View


def draw(view: View, differences: Sequence[Difference]) -> Iterator[Picture]:
    """Every figure that has something to show, one after the other, since each takes memory."""
    yield from forest_figure(view, differences)
    for group, looks in zip(view.groups, palette(view.groups), strict=True):
        yield from curve_figures(view, group, looks)
        yield from advantage_figure(view, group, looks)
        yield from graduation_figure(view, group, looks)
        yield from fate_figures(view, group)
        yield from composition_figures(view, group)
        yield from audit_figures(view, group, looks)
