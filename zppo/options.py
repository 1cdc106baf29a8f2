"""Arguments and options that commands share."""

from pathlib import Path
from typing import Annotated

import typer

RUNS = Path("runs")
"""The default home."""
Recipe = Annotated[str, typer.Argument(help="Name of a shipped recipe, or path of a YAML file.")]
Name = Annotated[str, typer.Argument(help="Name of an existing run.")]
Home = Annotated[Path, typer.Option(help="Where runs, their store and the servers' state live.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Threads = Annotated[int, typer.Option(min=0, help="Torch threads; 0 leaves the choice to the program.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Replace a setting, such as method.tau=0.4; repeatable."),
]
