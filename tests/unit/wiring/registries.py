"""A registry with versions that are registered, none of them trained."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from schemas.config.run import Runtime
from schemas.promotion import ChampionMove, Lineage
from zppo.ports import TrackedRun
from zppo.stores.local import LocalStore
from zppo.tracking.mlflow import MlflowTracker
from zppo.tracking.registry import ModelRegistry, RegisteredVersion
from zppo.wiring.champions import Champions
from zppo.wiring.registry import mlflow_uri, open_registry

MODEL = "zppo-student"
LINEAGE = Lineage(
    run="a", round=80, student="pocket/student sha256:0", run_fingerprint="1" * 64,
    checkpoint_fingerprint="2" * 64, evaluation_fingerprint="3" * 64, weights_sha256="4" * 64,
)  # fmt: skip


@dataclass(frozen=True)
class Registry:
    """A home and its registry."""

    runtime: Runtime
    versions: ModelRegistry
    champions: Champions
    run_id: str

    def register(self, files: list[Path], card: bytes = b"", lineage: Lineage = LINEAGE) -> RegisteredVersion:
        """A version of these files."""
        return self.versions.register(MODEL, files, lineage, self.run_id, card)

    def champion(self) -> str | None:
        """Whom the alias names, whatever the history says."""
        found = self.versions.champion(MODEL)
        return found.reference if found else None

    def promote(self, version: RegisteredVersion) -> ChampionMove:
        """As a promotion that passed its gates does."""
        with self.champions.turn() as champion:
            move = ChampionMove(
                registered_model=MODEL, number=len(self.champions.history()) + 1, kind="promotion",
                version=version.reference, previous=champion.reference if champion else None,
                reason="better", decision=None,
            )  # fmt: skip
            self.champions.move(move)
        return move


def open_test_registry(home: Path, database: Path, artifacts: str | None = "mlartifacts") -> Registry:
    """An empty one on a copy of an empty database, or on the server that the environment names."""
    home.mkdir(parents=True, exist_ok=True)
    shutil.copy(database, home / "mlflow.db")
    runtime = Runtime(home=home)
    tracker = MlflowTracker(mlflow_uri(runtime), home / artifacts if artifacts else None, print)
    tracker.start(TrackedRun("a", "key", {}))
    versions = open_registry(runtime)
    return Registry(runtime, versions, Champions(LocalStore(home), versions, MODEL), tracker.run_id)


def small_files(directory: Path, weights: bytes) -> list[Path]:
    """What a checkpoint is made of, by name."""
    directory.mkdir(parents=True, exist_ok=True)
    content = {
        "model.safetensors": weights, "config.json": b"{}", "tokenizer_config.json": b"{}",
        "tokenizer.json": b"{}",
    }  # fmt: skip
    for name, data in content.items():
        (directory / name).write_bytes(data)
    return [directory / name for name in content]
