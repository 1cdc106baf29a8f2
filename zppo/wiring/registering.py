"""From a run's best checkpoint to a version of its registered model."""

from pathlib import Path

from schemas.promotion import Lineage
from zppo.models.loading import checkpoint_files
from zppo.tracking.registry import ModelRegistry, RegisteredVersion, files_digest
from zppo.wiring.card import registered_card
from zppo.wiring.context import RunContext
from zppo.wiring.evaluate import read_evaluation
from zppo.wiring.train import best_checkpoint


def register_best(
    run: RunContext, registry: ModelRegistry, evaluation: str, mlflow_run_id: str
) -> RegisteredVersion:
    """Register the best checkpoint with its lineage and its card; a version that is there is taken."""
    lineage = _lineage(run, evaluation)
    card = registered_card(run, lineage, read_evaluation(run))
    model = run.config.promotion.registered_model
    return registry.register(
        model, _files(run), lineage, mlflow_run_id, card.model_dump_json(indent=1).encode()
    )


def _files(run: RunContext) -> list[Path]:
    path = run.paths.checkpoint(best_checkpoint(run))
    run.store.verify(path)
    return checkpoint_files(run.store.home / path)


def _lineage(run: RunContext, evaluation: str) -> Lineage:
    best = best_checkpoint(run)
    student = run.record.student
    return Lineage(
        run=run.name,
        round=best,
        student=f"{student.reference} {student.digest}",
        run_fingerprint=run.manifest.fingerprint,
        checkpoint_fingerprint=run.committed(run.paths.checkpoint(best)).fingerprint,
        evaluation_fingerprint=run.committed(evaluation).fingerprint,
        weights_sha256=files_digest([file for file in _files(run) if file.suffix == ".safetensors"]),
    )
