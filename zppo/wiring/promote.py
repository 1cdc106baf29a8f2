"""The promote stage of a run: register the best checkpoint, and decide who is champion."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow.parquet as pq

from schemas.evaluation import EvaluationAnswer
from schemas.manifest import Manifest
from schemas.prepared import PreparedData
from schemas.promotion import ChampionMove, Contamination, Contender, Lineage, PromotionDecision
from schemas.question import Split
from zppo.core.promotion import decide
from zppo.models.loading import checkpoint_files
from zppo.runs import DECISION
from zppo.stores.artifacts import read_artifact
from zppo.stores.identity import identify
from zppo.tracking.registry import ModelRegistry, RegisteredVersion, files_digest
from zppo.wiring.card import registered_card
from zppo.wiring.champions import Champions
from zppo.wiring.context import RunContext
from zppo.wiring.evaluate import checkpoint_model, model_answers, read_evaluation, run_evaluate
from zppo.wiring.prepare import run_prepare
from zppo.wiring.registry import open_registry, pinned
from zppo.wiring.train import best_checkpoint


@dataclass(frozen=True)
class Wish:
    """A person asks for the promotion, rather than the pipeline."""

    force: str | None = None
    """Why, where it is to be the champion whatever the gates say."""


def run_promote(run: RunContext, mlflow_run_id: str, wish: Wish | None = None) -> str:
    """Register the best checkpoint, decide, and let the alias follow; returns the path of the decision.

    A decision is committed before the alias moves, so that a crash in between neither decides twice nor loses
    the promotion. It holds against the champion that it was made against: should another one come in between,
    it is made anew. The pipeline acts once; asked by a person, the decision is made against today's champion.
    The first decision of a run stays its artifact, a later one stands in the champion's history.
    """
    evaluation = run_evaluate(run)
    registry, model = open_registry(run.runtime), run.config.promotion.registered_model
    run.checkpoints.pin(best_checkpoint(run), "registered", f"a version of {model} was made from it")
    version = _register(run, registry, evaluation, mlflow_run_id)
    attempt = _Attempt(run, registry, version, run.committed(evaluation), wish)
    while not attempt.settle():
        pass
    return run.paths.promotion


def read_decision(run: RunContext) -> PromotionDecision:
    """The promotion decision of a run that has one."""
    return read_artifact(run.store, run.paths.promotion, DECISION, PromotionDecision)


class _Attempt:
    """To make one version champion."""

    def __init__(
        self,
        run: RunContext,
        registry: ModelRegistry,
        version: RegisteredVersion,
        evaluation: Manifest,
        wish: Wish | None,
    ) -> None:
        self._run = run
        self._registry = registry
        self._version = version
        self._wish = wish
        self._champions = Champions(run.store, registry, version.model)
        self._identity = identify("promote", {"promotion": run.config.promotion}, [evaluation])

    def settle(self) -> bool:
        """Decide against the present champion and act on it; False if that changed in the meantime."""
        champion = self._champions.current()
        decision = self._standing(champion)
        decision = decision or _decide(self._run, self._registry, champion, self._version)
        with self._champions.turn() as still:
            if _reference(still) != _reference(champion):
                return False
            self._commit(decision)
            self._registry.tag(self._version, decision_tags(decision))
            self._act(decision, champion)
        return True

    def _standing(self, champion: RegisteredVersion | None) -> PromotionDecision | None:
        """The run's decision where it need not be made anew."""
        if self._run.store.find(self._run.paths.promotion, self._identity) is None:
            return None
        decision, present = read_decision(self._run), _reference(champion)
        if present in (_incumbent_reference(decision), self._version.reference):
            return decision
        done = not decision.promoted or self._was_champion()
        return decision if done and self._wish is None else None

    def _was_champion(self) -> bool:
        return any(move.version == self._version.reference for move in self._champions.history())

    def _commit(self, decision: PromotionDecision) -> None:
        run = self._run
        if run.store.find(run.paths.promotion, self._identity) is None:
            with run.store.commit(run.paths.promotion, self._identity) as staging:
                (staging.directory / DECISION).write_text(decision.model_dump_json(indent=1))

    def _act(self, decision: PromotionDecision, champion: RegisteredVersion | None) -> None:
        """Move the alias, or say why not."""
        force = self._wish.force if self._wish else None
        if self._wish:
            self._run.progress.say(gates_text(decision))
        if _reference(champion) == self._version.reference:
            self._say(f"{self._version.reference} is the champion already; nothing was changed")
        elif force:
            self._move("forced", force, decision, champion)
        elif not decision.promoted:
            self._say(f"{_name(champion)} stays; --force --reason TEXT overrules the gates")
        elif self._wish is None and self._was_champion():
            pass  # the pipeline, resumed after it acted
        elif back := self._champions.rolled_back(self._version):
            self._say(
                f"{self._version.reference} was rolled back ({back.reason}), and its evaluation is the same: "
                f"{_name(champion)} stays; --force --reason TEXT makes it champion again"
            )
        else:
            self._move("promotion", decision.reason, decision, champion)

    def _move(
        self,
        kind: Literal["promotion", "forced"],
        reason: str,
        decision: PromotionDecision,
        champion: RegisteredVersion | None,
    ) -> None:
        move = ChampionMove(
            registered_model=self._version.model,
            number=len(self._champions.history()) + 1,
            kind=kind,
            version=self._version.reference,
            previous=_reference(champion),
            reason=reason,
            decision=decision,
        )
        self._champions.move(move)
        before = f"before: {move.previous}; zppo rollback goes back to it" if champion else "the first one"
        self._say(f"{move.version} is the champion now ({before})")

    def _say(self, text: str) -> None:
        if self._wish:
            self._run.progress.say(text)


def gates_text(decision: PromotionDecision) -> str:
    """A line for each gate, and who was compared with whom."""
    heading = f"{decision.challenger.model} against the {decision.incumbent.role} {decision.incumbent.model}"
    width = max(len(gate.name) for gate in decision.gates)
    lines = [
        f"  {'passed' if gate.passed else 'FAILED'}  {gate.name:<{width}}  {gate.evidence}"
        for gate in decision.gates
    ]
    return "\n".join([heading, *lines])


def decision_tags(decision: PromotionDecision) -> dict[str, str]:
    """The decision as tags of the version, for readers of the registry's page."""
    gates = {
        f"gate.{gate.name}": f"{'passed' if gate.passed else 'failed'}: {gate.evidence}"
        for gate in decision.gates
    }
    verdict = "passed" if decision.promoted else "not passed"
    return {"decision": verdict, "decision.reason": decision.reason, **gates}


def _reference(version: RegisteredVersion | None) -> str | None:
    return version.reference if version else None


def _incumbent_reference(decision: PromotionDecision) -> str | None:
    """The champion that a decision was made against; None where it was the base."""
    return decision.incumbent.model if decision.incumbent.role == "champion" else None


def _name(champion: RegisteredVersion | None) -> str:
    return f"the champion {champion.reference}" if champion else "there is no champion; that"


def _decide(
    run: RunContext,
    registry: ModelRegistry,
    champion: RegisteredVersion | None,
    version: RegisteredVersion,
) -> PromotionDecision:
    prepared = run_prepare(run)
    student = checkpoint_model(run, best_checkpoint(run))
    challenger = Contender(role="challenger", model=version.reference, digest=student.resolved.digest)
    return decide(
        (challenger, model_answers(run, "student", student, prepared)),
        _incumbent(run, champion, prepared),
        run.config.promotion,
        run.config.evaluation,
        find_contamination(run, prepared),
        run.config.seed,
    )


def _incumbent(
    run: RunContext, champion: RegisteredVersion | None, prepared: str
) -> tuple[Contender, list[EvaluationAnswer]]:
    """The champion, or the base student where there is none, and its answers to the same questions."""
    resolved = pinned(champion) if champion else run.record.student
    role: Literal["champion", "base"] = "champion" if champion else "base"
    model = run.load(run.config.student, resolved)
    contender = Contender(role=role, model=resolved.reference, digest=resolved.digest)
    return contender, model_answers(run, role, model, prepared)


def find_contamination(run: RunContext, prepared: str) -> Contamination:
    """Look for test questions in the other splits, whose ids are digests of their content."""
    report = read_artifact(run.store, prepared, "report.json", PreparedData)
    near = run.record.data.near_duplicates
    test = _ids(run, prepared, "test")
    learned = _ids(run, prepared, "train") | _ids(run, prepared, "validation")
    return Contamination(
        test_questions=len(test),
        in_training=len(test & learned),
        removed=sum(
            removal.count
            for source in report.sources
            for removal in source.removed
            if removal.rule == "contamination"
        ),
        near_threshold=near.threshold if near.enabled else None,
    )


def _ids(run: RunContext, prepared: str, split: Split) -> set[str]:
    file = pq.ParquetFile(run.store.file(prepared, f"{split}.parquet"))
    return {each for batch in file.iter_batches(columns=["id"]) for each in batch.column(0).to_pylist()}


def _register(
    run: RunContext, registry: ModelRegistry, evaluation: str, mlflow_run_id: str
) -> RegisteredVersion:
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
