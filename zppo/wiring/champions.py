"""The champion of a registered model: its history, and the one way in which the alias moves.

The registry's alias says who is champion, and knows neither a condition nor a history. So each move is first
committed to the store, as the next entry of a numbered history: two promoters cannot both commit the same
number. Then the alias follows, and last a mark says that it did. Whoever comes next finishes what a killed
process began, and leaves alone what somebody moved by other means after the mark.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from schemas.promotion import ChampionMove
from zppo.core.champions import rolled_back
from zppo.layout import champion_move, champions
from zppo.stores.artifacts import read_artifact
from zppo.stores.identity import identify
from zppo.stores.local import LocalStore
from zppo.stores.locks import turn
from zppo.tracking.registry import ModelRegistry, RegisteredVersion

MOVE = "move.json"
WAIT_SECONDS = 120.0
"""Longest wait for another promoter, which takes seconds."""


def champion_moves(store: LocalStore, model: str) -> list[ChampionMove]:
    """The history of a registered model's champion in this home, the oldest move first."""
    return [read_artifact(store, path, MOVE, ChampionMove) for path in store.committed(champions(model))]


class Champions:
    """Who was and who is champion of one registered model."""

    def __init__(self, store: LocalStore, registry: ModelRegistry, model: str) -> None:
        self.model = model
        self._store = store
        self._registry = registry
        self.finished: ChampionMove | None = None
        """The move that this one finished for a process that had died, if any."""

    def history(self) -> list[ChampionMove]:
        """All moves so far, the oldest first."""
        return champion_moves(self._store, self.model)

    def rolled_back(self, version: RegisteredVersion) -> ChampionMove | None:
        """The rollback that took the alias away from a version, if it has not come back since."""
        return rolled_back(self.history(), version.reference)

    @contextmanager
    def turn(self) -> Iterator[RegisteredVersion | None]:
        """Hold the history until the block ends; yields the champion, unfinished moves finished.

        Raises `StoreError`, naming the holder, when another process keeps it for too long.
        """
        with turn(self._store.home / champions(self.model), WAIT_SECONDS):
            moves = self.history()
            if moves and not self._is_marked(moves[-1]):
                self._finish(moves[-1])
                self.finished = moves[-1]
            yield self._registry.champion(self.model)

    def current(self) -> RegisteredVersion | None:
        """The champion, unfinished moves finished."""
        with self.turn() as champion:
            return champion

    def move(self, move: ChampionMove) -> None:
        """Commit a move and let the alias follow; only within `turn`."""
        path = champion_move(self.model, move.number)
        with self._store.commit(path, identify("champion", {"move": move})) as staging:
            (staging.directory / MOVE).write_text(move.model_dump_json(indent=1))
        self._finish(move)

    def _finish(self, move: ChampionMove) -> None:
        """All that follows a committed move; repeating it changes nothing."""
        version = self._registry.resolve(move.version, self.model)
        self._registry.tag(version, {f"champion.{move.number:05d}": f"{move.kind}: {move.reason}"})
        if move.kind == "rollback" and move.previous is not None:
            left = self._registry.resolve(move.previous, self.model)
            self._registry.tag(left, {f"champion.{move.number:05d}": f"rolled back: {move.reason}"})
        self._registry.crown(version)
        self._store.write_file(self._mark(move), b"the alias has moved\n")

    def _is_marked(self, move: ChampionMove) -> bool:
        return (self._store.home / self._mark(move)).exists()

    def _mark(self, move: ChampionMove) -> str:
        return f"{champion_move(self.model, move.number)}.moved"
