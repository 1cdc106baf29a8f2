"""A tracker in memory."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal

from schemas.evaluation import Evaluation
from zppo.ports import TrackedRun


class MemoryTracker:
    """Keeps what it is told; `server` outlives it, as MLflow outlives a process."""

    def __init__(self, server: dict[str, "MemoryRun"] | None = None) -> None:
        self.server = {} if server is None else server

    def start(self, run: TrackedRun) -> None:
        self.run = self.server.setdefault(run.key, MemoryRun())
        self.run.status = "running"

    def log_round(self, index: int, metrics: Mapping[str, float], at: datetime) -> None:
        self.run.rounds.setdefault(index, dict(metrics))

    def log_evaluation(self, evaluation: Evaluation) -> None:
        self.run.evaluation = evaluation

    def log_file(self, file: Path, folder: str = "") -> None:
        self.run.files[f"{folder}/{file.name}".lstrip("/")] = file.read_bytes()

    def finish(self, outcome: Literal["finished", "failed", "stopped"]) -> None:
        self.run.status = outcome


class MemoryRun:
    """One run of the server."""

    def __init__(self) -> None:
        self.rounds: dict[int, dict[str, float]] = {}
        self.files: dict[str, bytes] = {}
        self.evaluation: Evaluation | None = None
        self.status = ""
