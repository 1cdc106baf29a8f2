"""Commands for those who change the project: its JSON Schemas and its embedded models."""

from pathlib import Path
from typing import Annotated

import typer

from zppo.errors import InputError, ZppoError

schema_app = typer.Typer(no_args_is_help=True, help="The JSON Schemas of recipes and artifacts.")
pocket_app = typer.Typer(no_args_is_help=True, help="The embedded students and teachers.")


@schema_app.command("export")
def schema_export(
    directory: Annotated[Path | None, typer.Argument(help="The package's own folder by default.")] = None,
) -> None:
    """Write the JSON Schema of the recipe and of every artifact."""
    from schemas.export import FOLDER, export

    written = export(directory or FOLDER)
    typer.echo(f"{len(written)} schemas in {directory or FOLDER}")


@schema_app.command("check")
def schema_check(
    directory: Annotated[Path | None, typer.Argument(help="The package's own folder by default.")] = None,
) -> None:
    """Compare the exported JSON Schemas with the models, byte for byte."""
    from schemas.export import FOLDER, stale

    different = stale(directory or FOLDER)
    if different:
        raise ZppoError(
            f"out of date: {', '.join(different)}; run `zppo schema export` and look at the change"
        )
    typer.echo("the exported schemas are up to date")


@pocket_app.command("build")
def pocket_build(
    out: Annotated[Path, typer.Argument(help="Directory for the checkpoints and their card.")],
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Train the embedded students and teachers from scratch and measure them (up to 30 minutes)."""
    from zppo.pocket.build import build

    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out} is not empty; name a new directory")
    build(out, seed, typer.echo)
