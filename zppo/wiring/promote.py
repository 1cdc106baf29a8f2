"""The promote stage of a run: register the best checkpoint, and decide who is champion."""

from pathlib import Path
from typing import Literal

from schemas.evaluation import EvaluationAnswer
from schemas.promotion import Contender, Lineage, PromotionDecision
from zppo.core.promotion import decide
from zppo.models.loading import checkpoint_files
from zppo.runs import DECISION
from zppo.stores.artifacts import read_artifact
from zppo.stores.identity import identify
from zppo.tracking.registry import ModelRegistry, RegisteredVersion, files_digest
from zppo.wiring.context import RunContext
from zppo.wiring.evaluate import checkpoint_model, model_answers, run_evaluate
from zppo.wiring.prepare import run_prepare
from zppo.wiring.registry import open_registry, pinned
from zppo.wiring.train import best_checkpoint


def run_promote(run: RunContext, mlflow_run_id: str) -> str:
    """Register the best checkpoint and decide; returns the path of the decision.

    The decision is committed first and the alias moved after it, so that a crash in between neither
    decides twice nor loses the promotion. The alias moves only if the incumbent is still the champion.
    """
    evaluation = run_evaluate(run)
    registry, model = open_registry(run.runtime), run.config.promotion.registered_model
    run.checkpoints.pin(best_checkpoint(run), "registered", f"a version of {model} was made from it")
    version = registry.register(model, _files(run), _lineage(run, evaluation), mlflow_run_id)
    path = run.paths.promotion
    identity = identify("promote", {"promotion": run.config.promotion}, [run.committed(evaluation)])
    if run.store.find(path, identity) is None:
        decision = _decide(run, registry, version)
        with run.store.commit(path, identity) as staging:
            (staging.directory / DECISION).write_text(decision.model_dump_json(indent=1))
    decision = read_decision(run)
    champion = registry.champion(model)
    if decision.promoted and (champion is None or champion.reference == decision.incumbent.model):
        registry.crown(version)
    return path


def read_decision(run: RunContext) -> PromotionDecision:
    """The promotion decision of a run that has one."""
    return read_artifact(run.store, run.paths.promotion, DECISION, PromotionDecision)


def _decide(run: RunContext, registry: ModelRegistry, version: RegisteredVersion) -> PromotionDecision:
    prepared = run_prepare(run)
    student = checkpoint_model(run, best_checkpoint(run))
    challenger = Contender(role="challenger", model=version.reference, digest=student.resolved.digest)
    return decide(
        (challenger, model_answers(run, "student", student, prepared)),
        _incumbent(run, registry, prepared),
        run.config.promotion,
        run.config.evaluation,
        run.config.seed,
    )


def _incumbent(
    run: RunContext, registry: ModelRegistry, prepared: str
) -> tuple[Contender, list[EvaluationAnswer]]:
    """The champion, or the base student where there is none, and its answers to the same questions."""
    champion = registry.champion(run.config.promotion.registered_model)
    resolved = pinned(champion) if champion else run.record.student
    role: Literal["champion", "base"] = "champion" if champion else "base"
    model = run.load(run.config.student, resolved)
    contender = Contender(role=role, model=resolved.reference, digest=resolved.digest)
    return contender, model_answers(run, role, model, prepared)


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
