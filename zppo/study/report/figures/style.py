"""What all figures share: colours, sizes, and files that are equal when drawn again."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from schemas.config.study import VariantGroup
from zppo.core.study.records import Cell
from zppo.study.report.view import View

Dash = Literal["-", "--"]
WIDTH = 10.0
"""Inches; at 120 dots an inch a figure is 1,200 pixels wide and its letters are legible at 1,000."""
GREY = "#6b6b6b"
_DPI = 120
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8c6d31")
"""The palette of Okabe and Ito, which the colour-blind can tell apart; brown in place of its yellow."""
_DASHES: tuple[Dash, ...] = ("-", "-", "-", "-", "-", "-", "--", "--")


@dataclass(frozen=True)
class Picture:
    """A figure and what it is called."""

    name: str
    """Of its files, without the suffix."""
    caption: str
    """One line."""
    figure: Figure


@dataclass(frozen=True)
class Look:
    """How a variant is drawn."""

    colour: str
    dash: Dash


Looks = Mapping[str, Look]
"""By variant, in the order of its group."""


def palette(groups: Sequence[VariantGroup]) -> list[Looks]:
    """The looks of each group's variants: all different, and those of earlier groups where they are free."""
    known: dict[str, Look] = {}
    found: list[Looks] = []
    for group in groups:
        looks: dict[str, Look] = {}
        for name in group.variants:
            if name in known and known[name] not in looks.values():
                looks[name] = known[name]
        free = (look for look in map(Look, _COLOURS, _DASHES) if look not in looks.values())
        looks |= {name: next(free) for name in group.variants if name not in looks}
        known = {**looks, **known}
        found.append({name: looks[name] for name in group.variants})
    return found


def grid(count: int, columns: int, height: float, share_y: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure of the common width with `count` axes, row by row.

    Args:
        count: Axes to fill.
        columns: Most in a row.
        height: Of a row, in inches.
        share_y: One vertical scale for all.
    """
    columns = min(columns, count)
    rows = -(-count // columns)
    width = WIDTH if columns > 1 else 0.7 * WIDTH
    figure = Figure(figsize=(width, rows * height + 0.5), layout="constrained")
    places = list(figure.subplots(rows, columns, squeeze=False, sharey=share_y).flat)
    for axes in places[count:]:
        axes.set_visible(False)
    return figure, places[:count]


def label_left(axes: Axes, label: str) -> None:
    """Label the vertical axis of the first column only; the others share its scale."""
    place = axes.get_subplotspec()
    axes.set_ylabel(label if place is None or place.is_first_col() else "")


def in_cell(view: View, cell: Cell, name: str, caption: str, figure: Figure) -> Picture:
    """A picture of one cell: its values are the figure's title and stand in its caption."""
    if not cell:
        return Picture(name, caption, figure)
    title = view.cell_title(cell)
    figure.suptitle(title, x=0.01, ha="left")
    return Picture(f"{name}-{view.records.cells.index(cell) + 1}", f"{caption} ({title})", figure)


def bottom_legend(figure: Figure, colours: Mapping[str, str]) -> None:
    """Labels with their colours, below the panels."""
    handles = [Patch(color=colour, label=label) for label, colour in colours.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(4, len(handles)))


def style() -> AbstractContextManager[None]:
    """The context in which figures are made and saved."""
    return matplotlib.rc_context(
        {
            "svg.hashsalt": "zppo",
            "svg.fonttype": "none",
            "font.size": 10.0,
            "axes.titlesize": 10.5,
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.alpha": 0.25,
            "legend.frameon": False,
            "figure.constrained_layout.h_pad": 0.08,
            "text.parse_math": False,
        }
    )


def save(picture: Picture, directory: Path) -> None:
    """Write a figure as PNG and SVG; without dates, so that the same figure is the same file."""
    picture.figure.savefig(directory / f"{picture.name}.png", dpi=_DPI, metadata={"Software": None})
    picture.figure.set_layout_engine("none")  # The second file keeps the places found for the first.
    picture.figure.savefig(directory / f"{picture.name}.svg", metadata={"Date": None, "Creator": None})
