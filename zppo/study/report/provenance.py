"""What a reader needs to run a study again."""

import os
import platform
from dataclasses import dataclass


@dataclass(frozen=True)
class Provenance:
    """How the runs of a study came about."""

    command: str
    """The exact command line."""
    seconds: float | None
    """Wall time of the whole study, all of its sittings together; None where it is not known."""
    versions: tuple[tuple[str, str], ...]
    """Package and version."""
    machine: str
    """In words."""


def provenance(command: str, seconds: float | None) -> Provenance:
    """That of this process: its interpreter, its packages and its machine."""
    from zppo.stores.packages import package_versions

    versions = {"python": platform.python_version(), **package_versions()}
    cores = os.cpu_count() or 1
    machine = f"{platform.system()} on {platform.machine()}, {cores} core{'s' * (cores != 1)}"
    return Provenance(command, seconds, tuple(sorted(versions.items())), machine)
