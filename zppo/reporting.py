"""The command `zppo report`: what happened in a run, as a page that people look at."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from zppo.errors import InputError
from zppo.options import RUNS, Home


def report(
    names: Annotated[list[str], typer.Argument(help="Name of a run; several are put side by side.")],
    out: Annotated[
        Path | None, typer.Option(help="The HTML file; by default reports/NAME.html in the home.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Serve the page on this machine and refresh it, until Ctrl-C.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of --watch; 0 takes a free one.")] = 0,
    home: Home = RUNS,
) -> None:
    """Write what happened in a run, or in several side by side, as one HTML file; at any time."""
    if watch and len(names) > 1:
        raise InputError(f"--watch shows one run, got {len(names)}: {', '.join(names)}; name one of them")
    from zppo.report.history import RunHistory

    history = RunHistory(home, names[0])
    if watch:
        from zppo.report.serve import serve_report

        with suppress(KeyboardInterrupt):
            serve_report(history, port, typer.echo)
        return
    from zppo.report.contents import run_page

    typer.echo(write_page(run_page(history), home, "-".join(names), out))


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
