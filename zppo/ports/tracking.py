"""Where runs are shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from schemas.evaluation import Evaluation


@dataclass(frozen=True)
class TrackedData:
    """A data set that a run reads."""

    name: str
    digest: str
    source: str
    """Where it came from, for a reader."""


@dataclass(frozen=True)
class TrackedRun:
    """A run as the tracking server shows it."""

    name: str
    key: str
    """Identifies the run among all that ever share the server; a resumed run has the same."""
    parameters: Mapping[str, str]
    data: tuple[TrackedData, ...] = ()


class Tracker(Protocol):
    """Shows runs to people. The store stays the truth: whatever is missing here can be sent again."""

    def start(self, run: TrackedRun) -> None:
        """Begin a run, or go on with the one of the same key."""
        ...

    def log_round(self, index: int, metrics: Mapping[str, float], at: datetime) -> None:
        """Metrics of a committed round; a round that is there already is left alone."""
        ...

    def log_evaluation(self, evaluation: Evaluation) -> None:
        """Accuracies of every model on every source; repeating it changes nothing."""
        ...

    def log_file(self, file: Path, folder: str = "") -> None:
        """Keep a copy of a file with the run, replacing one of the same name."""
        ...

    def finish(self, outcome: Literal["finished", "failed", "stopped"]) -> None:
        """End the run, or this process's part of it."""
        ...
