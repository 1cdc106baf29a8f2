"""Checkpoints of a run: when they are written, what they restore, which stay."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

from schemas.config.evaluation import CheckpointConfig
from schemas.manifest import Manifest
from schemas.report import StepReport
from schemas.state import TrainState
from zppo.errors import StoreError
from zppo.layout import RunPaths
from zppo.ports import Learner
from zppo.stores.artifacts import read_artifact
from zppo.stores.identity import identify
from zppo.stores.local import LocalStore

STATE = "state.json"
_PIN = "[0-9]" * 5 + ".*"
"""Names of pins: a checkpoint's directory, a dot, who needs it."""


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run. Checkpoint 0 is the base student, written when training starts."""

    store: LocalStore
    paths: RunPaths
    run: Manifest
    config: CheckpointConfig
    rounds: int
    warn: Callable[[str], None] = lambda line: None
    """Told where what must stay exceeds `max_bytes`."""
    first: int = 0
    """Rounds up to it were computed under another recipe, so that nothing is restored from before it."""

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
        base student, and checkpoint 0 is written from it; a fork, which does not begin there, is refused.
        """
        if not self.usable(index):
            if self.first:
                raise StoreError(
                    f"{self.store.home / self.paths.checkpoints} holds no checkpoint of the rounds "
                    f"{self.first} to {index}, and this run, a fork, cannot compute them again from the base "
                    "student. Make the fork anew under another name"
                )
            self.write(TrainState(), learner)
        newest = self.usable(index)[-1]
        path = self.paths.checkpoint(newest)
        self.store.verify(path)
        learner.load(self.store.home / path)
        return read_state(self.store, path)

    def usable(self, index: int) -> list[int]:
        """Rounds with a checkpoint that round `index` can be computed from, ascending."""
        return [each for each in self.written() if self.first <= each <= index]

    def written(self) -> list[int]:
        """Rounds with a checkpoint, ascending."""
        return written(self.store, self.paths)

    def best(self, reports: Sequence[StepReport]) -> int:
        """The round whose checkpoint has the best validation accuracy, the later of equals."""
        return self._ranked(reports)[0] if self._ranked(reports) else max(self.written())

    def pin(self, index: int, owner: str, reason: str) -> None:
        """Keep a checkpoint for good: nothing removes one that a file below `pins/` names.

        Pin first, then look whether the checkpoint is there: the run may be pruning.

        Args:
            index: The round.
            owner: Who needs it, such as `fork-NAME`; repeating a pin of the same owner replaces it.
            reason: A line for a reader, kept in the file.
        """
        self.store.write_file(self.paths.pin(index, owner), f"{reason}\n".encode())

    def pinned(self) -> set[int]:
        """Rounds whose checkpoints are pinned."""
        return {int(file.name.split(".")[0]) for file in (self.store.home / self.paths.pins).glob(_PIN)}

    def surplus(self, reports: Sequence[StepReport]) -> list[int]:
        """Rounds whose checkpoints retention gives up.

        Args:
            reports: In order, of the last committed round, and of every one with a checkpoint.
        """
        if not reports:
            return []
        return surplus(self._sizes(), self._ranked(reports), self.pinned(), reports[-1].round, self.config)

    def prune(self, reports: Sequence[StepReport]) -> None:
        """Remove the surplus; warn where the rest, which must stay, is over `max_bytes`."""
        for index in self.surplus(reports):
            self.store.remove(self.paths.checkpoint(index))
        limit, sizes = self.config.max_bytes, self._sizes()
        if limit is not None and (total := sum(sizes.values())) > limit:
            listed = ", ".join(map(str, sizes))
            self.warn(
                f"checkpoints {total:,} bytes, over checkpoints.max_bytes = {limit:,}: those of the rounds "
                f"{listed} stay all the same, since the run resumes from them, ranks one best, or has them "
                "pinned. Raise the limit"
            )

    def _sizes(self) -> dict[int, int]:
        """Bytes of every checkpoint by its round, ascending."""
        manifests = {index: self.store.read(self.paths.checkpoint(index)) for index in self.written()}
        return {
            index: sum(file.size for file in manifest.files)
            for index, manifest in manifests.items()
            if manifest
        }

    def _ranked(self, reports: Sequence[StepReport]) -> list[int]:
        written = set(self.written())
        scored = [
            (report.validation.accuracy, report.round)
            for report in reports
            if report.validation is not None and report.round in written
        ]
        return [index for _, index in sorted(scored, reverse=True)]


def written(store: LocalStore, paths: RunPaths) -> list[int]:
    """Rounds of a run with a checkpoint, ascending."""
    return [int(path.rsplit("/", 1)[1]) for path in store.committed(paths.checkpoints)]


def surplus(
    sizes: Mapping[int, int],
    ranked: Sequence[int],
    pinned: Set[int],
    committed: int,
    config: CheckpointConfig,
) -> list[int]:
    """The checkpoints that retention gives up, ascending.

    The resume target, the best one, pinned ones and those of rounds not committed yet stay whatever the
    limits; the last `keep_last` and the best `keep_best` stay while all together hold to `max_bytes`, the
    oldest of them going first.

    Args:
        sizes: Bytes of each checkpoint by its round.
        ranked: Rounds with a checkpoint and a validation, the best first.
        pinned: Rounds that something else needs.
        committed: Rounds whose update is committed: the run resumes from the newest checkpoint up to it.
        config: The limits.
    """
    usable = [index for index in sorted(sizes) if index <= committed]
    ahead = {index for index in sizes if index > committed}
    needed = {*usable[-1:], *ranked[:1], *(pinned & sizes.keys()), *ahead}
    kept = needed | {*usable[-config.keep_last :], *ranked[: config.keep_best]}
    total = sum(sizes[index] for index in kept)
    for index in sorted(kept - needed):
        if config.max_bytes is not None and total > config.max_bytes:
            kept.remove(index)
            total -= sizes[index]
    return sorted(sizes.keys() - kept)


def read_state(store: LocalStore, path: str) -> TrainState:
    """The state beside the weights of a checkpoint."""
    return read_artifact(store, path, STATE, TrainState)
