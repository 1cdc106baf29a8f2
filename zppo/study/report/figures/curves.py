"""Held-out accuracy over rounds, tokens, rollouts and time."""

from collections.abc import Iterator
from functools import partial

from schemas.config.study import VariantGroup
from schemas.study import Measure
from zppo.core.study.curves import Amount, mean_curve
from zppo.study.report.figures.lines import Panel, line_figure
from zppo.study.report.figures.style import Looks, Picture
from zppo.study.report.view import View

AXES: dict[Amount, tuple[str, str]] = {
    "rounds": ("round", "rounds"),
    "tokens": ("student tokens generated", "student tokens generated"),
    "rollouts": ("student rollouts", "student rollouts"),
    "seconds": ("seconds of collecting and updating", "wall clock"),
}
"""Label of the horizontal axis, and its name in captions."""
MEASURES: dict[Measure, str] = {"accuracy": "held out", "out_of_distribution": "out of distribution"}


def curve_figures(view: View, group: VariantGroup, looks: Looks) -> Iterator[Picture]:
    """A figure an axis: a row a cell, in distribution beside out of distribution."""
    for axis, (label, words) in AXES.items():
        panels = [
            Panel(
                view.panel_title(cell, title),
                cell,
                partial(mean_curve, axis=axis, measure=measure, bootstrap=view.bootstrap),
                label,
                "accuracy",
            )
            for cell in view.records.cells
            for measure, title in MEASURES.items()
        ]
        figure = line_figure(view, looks, panels, columns=2)
        if figure is not None:
            caption = f"{group.title}: accuracy over {words}, held out and out of distribution"
            yield Picture(f"{group.name}-accuracy-over-{axis}", caption, figure)
