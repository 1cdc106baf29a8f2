"""The command `zppo report`: what happened in a run, as a page that people look at."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zppo.errors import InputError
from zppo.options import RUNS, Home, Machine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemas.config.machine import HourlyPrice
    from zppo.report.history import RunHistory


def report(
    names: Annotated[list[str], typer.Argument(help="Name of a run; several are put side by side.")],
    out: Annotated[
        Path | None, typer.Option(help="The HTML file; by default reports/NAME.html in the home.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Serve the page on this machine and refresh it, until Ctrl-C.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of --watch; 0 takes a free one.")] = 0,
    figures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the charts as PNG and SVG, too.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write rounds, questions and visits as Parquet and CSV, too."),
    ] = None,
    home: Home = RUNS,
    machine: Machine = None,
) -> None:
    """Write what happened in a run, or in several side by side, as one HTML file; at any time."""
    several = len(names) > 1
    if several and (watch or figures or data):
        option = "--watch" if watch else "--figures" if figures else "--data"
        raise InputError(f"{option} is for one run, got {len(names)}: {', '.join(names)}; name one of them")
    from zppo.machine import load_machine
    from zppo.report.history import RunHistory

    histories = [RunHistory(home, name) for name in dict.fromkeys(names)]
    price = load_machine(home, machine, device=None, threads=None).price
    if watch:
        from zppo.report.serve import serve_report

        with suppress(KeyboardInterrupt):
            serve_report(histories[0], price, port, typer.echo)
        return
    for file in _written(histories[0], figures, data):
        typer.echo(file)
    typer.echo(write_page(_page(histories, price), home, "-".join(names), out))


def _page(histories: "list[RunHistory]", price: "HourlyPrice | None") -> str:
    if len(histories) > 1:
        from zppo.report.compare import comparison_page

        return comparison_page(histories, price)
    from zppo.report.contents import run_page

    return run_page(histories[0], price)


def _written(history: "RunHistory", figures: Path | None, data: Path | None) -> "Iterator[Path]":
    """Write what was asked for besides the page."""
    if figures is not None:
        from zppo.report.figures import write_figures
        from zppo.report.single import history_charts

        yield from write_figures(history_charts(history), figures)
    if data is not None:
        from zppo.report.data import write_data

        yield from write_data(history, data)


def write_page(page: str, home: Path, name: str, out: Path | None) -> Path:
    """Write a report where it was asked for; returns the path."""
    from zppo.layout import REPORTS
    from zppo.stores.local import LocalStore

    if out is None:
        path = f"{REPORTS}/{name[:100]}.html"
        LocalStore(home).write_file(path, page.encode())
        return home / path
    try:
        out.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {out}: {error}; choose another --out") from error
    return out
