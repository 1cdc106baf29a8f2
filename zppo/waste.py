"""Directories of a home that nothing needs any more."""

from dataclasses import dataclass, field

from zppo.stores.sizes import Size

SHARED, LEFT_BEHIND = "store", "tmp"
"""Owners besides runs: what runs share, and what killed processes left. No run has such a name."""


@dataclass(frozen=True)
class Waste:
    """A directory that nothing needs."""

    path: str
    """Relative to the home."""
    why: str
    owner: str
    """The run whose lock its removal takes, or `SHARED` or `LEFT_BEHIND`."""
    size: Size = field(default=Size(0, 0), compare=False)


@dataclass
class Findings:
    """What was found, or what was removed."""

    waste: list[Waste] = field(default_factory=list)
    left_alone: list[str] = field(default_factory=list)
    """Lines: what was not looked into, and why."""

    @property
    def freed(self) -> int:
        """Bytes, of all together."""
        return sum(each.size.freed for each in self.waste)
