"""Tables of measurements, as Markdown with the machine described."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Table:
    """Measurements of one kind, and what they mean."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """A cell for each column."""
    notes: tuple[str, ...] = ()
    """Paragraphs under the table: what was done, which target holds, and where the time goes."""

    def __post_init__(self) -> None:
        uneven = [row for row in self.rows if len(row) != len(self.columns)]
        assert not uneven, f"{self.title}: a cell for each of {self.columns}, not {uneven}"


class Machine(NamedTuple):
    """Where something was measured."""

    processor: str
    cores: int
    threads: int
    """Of torch in each process."""
    versions: tuple[str, ...]
    load: float
    """Processes that were running or waiting on average in the five minutes before the end."""


def this_machine(threads: int) -> Machine:
    """The one that this process runs on."""
    packages = [f"{name} {version(name)}" for name in ("torch", "transformers")]
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 1,
        threads=threads,
        versions=(f"Python {platform.python_version()}", *packages),
        load=os.getloadavg()[1],
    )


def markdown(command: Sequence[str], tables: Sequence[Table], machine: Machine) -> str:
    """The page of a benchmark: its name and arguments, the machine, the tables."""
    call = f"`python -m tests.benchmarks {' '.join(command)}`"
    heading = f"# {command[0]}\n\n{call}, float32. {_described(machine)}\n"
    return "\n".join([heading, *map(_section, tables)])


def write(command: Sequence[str], tables: Sequence[Table], threads: int) -> Path:
    """Write the page of a benchmark measured just now; returns its file."""
    file = RESULTS / f"{command[0]}.md"
    file.parent.mkdir(exist_ok=True)
    file.write_text(markdown(command, tables, this_machine(threads)))
    return file


def _described(machine: Machine) -> str:
    threads = "one thread" if machine.threads == 1 else f"{machine.threads} threads"
    return (
        f"Measured on {machine.cores} cores ({machine.processor}) with {threads} a process; "
        f"{', '.join(machine.versions)}. Load average at the end: {machine.load:.1f}."
    )


def _section(table: Table) -> str:
    lines = [table.columns, tuple("---" for _ in table.columns), *table.rows]
    grid = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return "\n\n".join([f"## {table.title}", grid, *table.notes]) + "\n"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
