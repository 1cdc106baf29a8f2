"""Arguments and options that commands share, and what those of the machine mean."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from schemas.config.run import Runtime

RUNS = Path("runs")
"""The default home."""
Recipe = Annotated[str, typer.Argument(help="Name of a shipped recipe, or path of a YAML file.")]
Name = Annotated[str, typer.Argument(help="Name of an existing run.")]
Home = Annotated[Path, typer.Option(help="Where runs, their store and the servers' state live.")]
Device = Annotated[str | None, typer.Option(help="auto (the default), cpu, cuda or cuda:N.")]
Threads = Annotated[
    int | None, typer.Option(min=0, help="Torch threads; 0, the default, leaves the choice to the program.")
]
Machine = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="YAML of what this machine offers; HOME/machine.yaml by default."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Replace a setting, such as method.tau=0.4; repeatable."),
]


def runtime_of(home: Path, device: str | None, threads: int | None, machine: Path | None) -> "Runtime":
    """The machine's side of a command; libraries that read the environment come after this."""
    from zppo.environment import prepare_environment
    from zppo.machine import load_machine

    prepare_environment(home)
    return load_machine(home, machine, device, threads)


@dataclass(frozen=True)
class Told:
    """What a command was told of its machine."""

    home: Path
    device: str | None = None
    threads: int | None = None
    machine: Path | None = None

    def runtime(self) -> "Runtime":
        """The machine."""
        return runtime_of(self.home, self.device, self.threads, self.machine)

    @property
    def options(self) -> str:
        """The options that say it again, each after a blank; nothing where all are the defaults."""
        home = None if self.home == RUNS else self.home
        said = {"home": home, "device": self.device, "threads": self.threads, "machine": self.machine}
        given = {name: value for name, value in said.items() if value is not None}
        return "".join(f" --{name} {shlex.quote(str(value))}" for name, value in given.items())
