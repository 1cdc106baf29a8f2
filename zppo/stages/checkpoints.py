"""Checkpoints of a run: when they are written, what they restore, which stay."""

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.config.evaluation import CheckpointConfig
from schemas.manifest import Manifest
from schemas.report import StepReport
from schemas.state import TrainState
from zppo.layout import RunPaths
from zppo.ports import Learner
from zppo.stores.identity import identify
from zppo.stores.local import LocalStore

STATE = "state.json"


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run. Checkpoint 0 is the base student, written when training starts."""

    store: LocalStore
    paths: RunPaths
    run: Manifest
    config: CheckpointConfig
    rounds: int

    def due(self, index: int) -> bool:
        """Whether a checkpoint is written after this round; always after the last one."""
        return index % self.config.every == 0 or index == self.rounds

    def write(self, state: TrainState, learner: Learner) -> None:
        """Commit weights, optimizer and state; does nothing where they are committed already."""
        path = self.paths.checkpoint(state.round)
        identity = identify("checkpoint", {"round": state.round}, [self.run])
        if self.store.find(path, identity) is None:
            with self.store.commit(path, identity) as staging:
                learner.save(staging.directory)
                (staging.directory / STATE).write_text(state.model_dump_json())

    def restore(self, index: int, learner: Learner) -> TrainState:
        """Load the newest checkpoint that is not newer than round `index`; returns its state.

        Where there is none, at the start or because a damaged one was removed, the learner still holds the
        base student, and checkpoint 0 is written from it.
        """
        if not any(each <= index for each in self.written()):
            self.write(TrainState(), learner)
        newest = max(each for each in self.written() if each <= index)
        path = self.paths.checkpoint(newest)
        self.store.verify(path)
        learner.load(self.store.home / path)
        return read_state(self.store, path)

    def written(self) -> list[int]:
        """Rounds with a checkpoint, ascending."""
        return [int(path.rsplit("/", 1)[1]) for path in self.store.committed(self.paths.checkpoints)]

    def best(self, reports: Sequence[StepReport]) -> int:
        """The round whose checkpoint has the best validation accuracy, the later of equals."""
        return self._ranked(reports)[0] if self._ranked(reports) else max(self.written())

    def prune(self, reports: Sequence[StepReport]) -> None:
        """Remove all but the last `keep_last` and the best `keep_best`; never the resume target."""
        if not reports:
            return
        written = self.written()
        kept = {*written[-self.config.keep_last :], *self._ranked(reports)[: self.config.keep_best]}
        for index in written:
            if index not in kept:
                self.store.remove(self.paths.checkpoint(index))

    def _ranked(self, reports: Sequence[StepReport]) -> list[int]:
        written = set(self.written())
        scored = [
            (report.validation.accuracy, report.round)
            for report in reports
            if report.validation is not None and report.round in written
        ]
        return [index for _, index in sorted(scored, reverse=True)]


def read_state(store: LocalStore, path: str) -> TrainState:
    """The state beside the weights of a checkpoint."""
    return TrainState.model_validate_json(store.file(path, STATE).read_bytes())
