"""What the rounds were made of: batches, advantages, and the audits of BCQ and NCQ."""

from collections.abc import Callable, Iterator
from functools import partial

from schemas.config.study import VariantGroup
from schemas.report import Share
from schemas.study import RoundPoint
from zppo.core.study.records import Cell
from zppo.core.study.rounds import WINDOW, Part, accuracy_of, composition, series
from zppo.study.report.details import PART_TITLES
from zppo.study.report.figures.lines import Panel, line_figure
from zppo.study.report.figures.style import Looks, Picture, bottom_legend, grid, in_cell, label_left
from zppo.study.report.view import View

_COLOURS: dict[Part, str] = {
    "new": "#c9d3dc",
    "replayed": "#8299ad",
    "bcq": "#E69F00",
    "ncq": "#CC79A7",
    "hint": "#009E73",
    "prefix": "#0072B2",
    "extra": "#56B4E9",
}
_X_LABEL = f"round (moving average over {WINDOW})"
_ADVANTAGES: dict[str, Callable[[RoundPoint], Share]] = {
    "groups with zero advantage": lambda point: point.zero_advantage_groups,
    "rollouts with a positive advantage": lambda point: point.positive_advantage_rollouts,
}
_AUDITS: dict[str, Callable[[RoundPoint], Share]] = {
    "BCQ: accuracy": accuracy_of("bcq"),
    "BCQ: correct candidate's answer": lambda point: point.bcq_correct_candidate,
    "BCQ: wrong candidate's answer": lambda point: point.bcq_wrong_candidate,
    "BCQ: correct candidate shown first": lambda point: point.bcq_correct_first,
    "BCQ: accuracy, correct one first": lambda point: point.bcq_accuracy_correct_first,
    "BCQ: accuracy, correct one second": lambda point: point.bcq_accuracy_correct_second,
    "NCQ: accuracy": accuracy_of("ncq"),
    "NCQ: repeats a listed wrong answer": lambda point: point.ncq_repeats_listed,
    "NCQ: gives the teacher's answer": lambda point: point.ncq_matches_teacher,
}


def advantage_figure(view: View, group: VariantGroup, looks: Looks) -> Iterator[Picture]:
    """Groups with zero advantage and rollouts with a positive one: a row a cell."""
    panels = [
        _panel(view, cell, view.panel_title(cell, title), read)
        for cell in view.records.cells
        for title, read in _ADVANTAGES.items()
    ]
    figure = line_figure(view, looks, panels, columns=2)
    if figure is not None:
        caption = (
            f"{group.title}: share of zero-advantage groups and of positive-advantage rollouts over rounds"
        )
        yield Picture(f"{group.name}-advantages", caption, figure)


def audit_figures(view: View, group: VariantGroup, looks: Looks) -> Iterator[Picture]:
    """What became of BCQ and NCQ prompts: a figure a cell."""
    for cell in view.records.cells:
        panels = [_panel(view, cell, title, read) for title, read in _AUDITS.items()]
        figure = line_figure(view, looks, panels, columns=3)
        if figure is not None:
            caption = f"{group.title}: BCQ and NCQ audits over rounds"
            yield in_cell(view, cell, f"{group.name}-audits", caption, figure)


def composition_figures(view: View, group: VariantGroup) -> Iterator[Picture]:
    """Groups of each kind over rounds, stacked: a figure a cell, a panel a variant."""
    for cell in view.records.cells:
        parts_of = {variant: composition(view.runs(variant, cell)) for variant in group.variants}
        found = {variant: parts for variant, parts in parts_of.items() if parts}
        if not found:
            continue
        figure, places = grid(len(found), columns=3, height=2.4, share_y=True)
        for axes, (variant, parts) in zip(places, found.items(), strict=True):
            rounds = range(1, 1 + len(next(iter(parts.values()))))
            axes.stackplot(rounds, *parts.values(), colors=[_COLOURS[part] for part in parts], linewidth=0)
            axes.set(title=view.title(variant), xlabel="round", xlim=(1, max(2, len(rounds))))
            label_left(axes, "groups")
        shown = [part for part in _COLOURS if any(part in parts for parts in found.values())]
        bottom_legend(figure, {PART_TITLES[part]: _COLOURS[part] for part in shown})
        caption = f"{group.title}: composition of the batches over rounds, mean over seeds"
        yield in_cell(view, cell, f"{group.name}-composition", caption, figure)


def _panel(view: View, cell: Cell, title: str, read: Callable[[RoundPoint], Share]) -> Panel:
    return Panel(title, cell, partial(series, read=read, bootstrap=view.bootstrap), _X_LABEL, "share")
