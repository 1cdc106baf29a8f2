"""The replay buffer: graduations by entry accuracy, and the fate of its entries by visits."""

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from schemas.config.study import VariantGroup
from zppo.core.study.buffer import MANY_VISITS, Counts, Graduation, fates_by_visits, graduations
from zppo.core.study.records import Cell
from zppo.study.report.figures.style import Look, Looks, Picture, bottom_legend, grid, in_cell, label_left
from zppo.study.report.view import View
from zppo.study.report.words import accuracy_fraction

_FATES = {"graduated": "#009E73", "evicted": "#D55E00", "still in the buffer at the end": "#c9d3dc"}


def graduation_figure(view: View, group: VariantGroup, looks: Looks) -> Iterator[Picture]:
    """Share of the entries that graduated, by entry accuracy: bars side by side, a panel a cell."""
    found = [(cell, _graduations(view, cell, looks)) for cell in view.records.cells]
    found = [(cell, shares) for cell, shares in found if shares]
    if not found:
        return
    figure, places = grid(len(found), columns=2, height=3.2, share_y=True)
    for axes, (cell, shares) in zip(places, found, strict=True):
        _draw_bars(axes, shares, looks)
        axes.set(title=view.cell_title(cell), xlabel="plain accuracy at admission")
        label_left(axes, "graduated")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    drawn = [variant for variant in looks if any(variant in shares for _, shares in found)]
    bottom_legend(figure, {view.title(variant): looks[variant].colour for variant in drawn})
    caption = f"{group.title}: share of the buffer's entries that graduated, by entry accuracy"
    yield Picture(f"{group.name}-graduations", caption, figure)


def fate_figures(view: View, group: VariantGroup) -> Iterator[Picture]:
    """What became of entries, by number of visits: a figure a cell, a panel a variant."""
    for cell in view.records.cells:
        fates_of = {variant: fates_by_visits(view.runs(variant, cell)) for variant in group.variants}
        found = {variant: fates for variant, fates in fates_of.items() if fates}
        if not found:
            continue
        figure, places = grid(len(found), columns=3, height=2.4, share_y=True)
        for axes, (variant, fates) in zip(places, found.items(), strict=True):
            _draw_fates(axes, fates)
            axes.set(title=view.title(variant), xlabel="visits")
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
            label_left(axes, "share of all entries")
        bottom_legend(figure, _FATES)
        caption = f"{group.title}: fate of the buffer's entries by number of visits"
        yield in_cell(view, cell, f"{group.name}-fates", caption, figure)


def _graduations(view: View, cell: Cell, looks: Looks) -> dict[str, list[Graduation]]:
    found = {variant: graduations(view.runs(variant, cell), view.bootstrap) for variant in looks}
    return {variant: shares for variant, shares in found.items() if shares}


def _draw_bars(axes: Axes, shares: dict[str, list[Graduation]], looks: Looks) -> None:
    accuracies = sorted({each.entry_accuracy for own in shares.values() for each in own})
    width = 0.8 / len(shares)
    for index, (variant, own) in enumerate(shares.items()):
        offset = (index - (len(shares) - 1) / 2) * width
        for each in own:
            _draw_bar(axes, accuracies.index(each.entry_accuracy) + offset, width, each, looks[variant])
    axes.set_xticks(range(len(accuracies)), [accuracy_fraction(accuracy) for accuracy in accuracies])
    axes.grid(axis="x", visible=False)


def _draw_bar(axes: Axes, place: float, width: float, found: Graduation, look: Look) -> None:
    if found.share is None:
        return
    axes.bar(place, found.share.mean, 0.92 * width, color=look.colour)
    if (interval := found.share.interval) is not None:
        axes.vlines(place, interval.low, interval.high, color="black", linewidth=1.0)


def _draw_fates(axes: Axes, fates: dict[int, Counts]) -> None:
    total = sum(counts.entries for counts in fates.values())
    visits = list(fates)
    bottom = np.zeros(len(visits))
    layers = [
        [getattr(counts, end) for counts in fates.values()] for end in ("graduated", "evicted", "remaining")
    ]
    for layer, colour in zip(layers, _FATES.values(), strict=True):
        heights = np.asarray(layer) / max(1, total)
        axes.bar(visits, heights, 0.8, bottom, color=colour)
        bottom = bottom + heights
    axes.set_xticks(visits, [str(number) if number < MANY_VISITS else f"{number}+" for number in visits])
    axes.grid(axis="x", visible=False)
