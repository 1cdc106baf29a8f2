"""The words that the agents leave of ranks that failed; light, since an agent needs no model."""

import os
import signal
from collections.abc import Iterable
from pathlib import Path

from schemas.base import Frozen


class Failure(Frozen):
    """How a rank ended before its time."""

    rank: int
    exit_code: int
    """Negative for the signal that ended it."""
    time: int
    """Seconds since 1970, by the clock of its machine."""
    said: str
    """The end of its log."""

    @property
    def sentence(self) -> str:
        """Who ended, and how."""
        return f"rank {self.rank} of the learner {ended(self.exit_code)}"

    def write(self, directory: Path, node: int) -> None:
        """Leave it in the directory of the job as a machine's word, whole or not at all."""
        draft = directory / f".failure-{node}"
        draft.write_text(self.model_dump_json(), encoding="utf-8")
        os.replace(draft, directory / f"failure-{node}.json")


def failures(directory: Path, nodes: int) -> dict[int, Failure]:
    """The words that are there, by machine."""
    paths = {node: directory / f"failure-{node}.json" for node in range(nodes)}
    return {
        node: Failure.model_validate_json(path.read_bytes()) for node, path in paths.items() if path.exists()
    }


def cause(found: Iterable[Failure]) -> Failure:
    """The one that the others followed from: one that a signal ended, else the first."""
    return min(found, key=lambda each: (each.exit_code >= 0, each.time))


def ended(code: int) -> str:
    """How a process ended, by its exit code."""
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
