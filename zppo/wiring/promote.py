"""The promote stage of a run: register the best checkpoint, and decide who is champion."""

from dataclasses import dataclass
from typing import Literal

from schemas.evaluation import EvaluationAnswer
from schemas.manifest import Manifest
from schemas.promotion import Approval, ChampionMove, Contender, PromotionDecision
from zppo.core.promotion import decide
from zppo.runs import DECISION
from zppo.stores.artifacts import read_artifact
from zppo.stores.identity import fingerprint, identify
from zppo.tracking.registry import ModelRegistry, RegisteredVersion
from zppo.wiring.champions import Champions
from zppo.wiring.contamination import find_contamination
from zppo.wiring.context import RunContext
from zppo.wiring.evaluate import checkpoint_model, model_answers, run_evaluate
from zppo.wiring.prepare import run_prepare
from zppo.wiring.registering import register_best
from zppo.wiring.registry import open_registry, pinned
from zppo.wiring.train import best_checkpoint


@dataclass(frozen=True)
class Wish:
    """A person asks for the promotion, rather than the pipeline."""

    force: str | None = None
    """Why, where it is to be the champion whatever the gates say."""
    ask: bool = False
    """Decide only: the alias waits for somebody's approval, also when the run's pipeline is resumed."""
    approval: Approval | None = None
    """Somebody's answer; it holds against the champion that they were asked about."""


@dataclass(frozen=True)
class Outcome:
    """A decision, and what became of the alias."""

    decision: PromotionDecision
    text: str
    waits: bool = False
    """Whether only somebody's approval is missing."""

    @property
    def approval(self) -> str:
        """What is known of it, for readers of the registry's page."""
        given = self.decision.approval
        if given is None:
            return "waited for" if self.waits else "not asked for"
        return f"{'approved' if given.approved else 'refused'}: {given.reason}"


def require_approval(run: RunContext) -> None:
    """From now on nothing but a person makes a champion of this run, however it is resumed."""
    run.store.write_file(run.paths.approval, b"the promotion waits for somebody to approve it\n")


def needs_approval(run: RunContext) -> bool:
    """Whether only a person makes a champion of this run."""
    return (run.store.home / run.paths.approval).exists()


def run_promote(run: RunContext, mlflow_run_id: str, wish: Wish | None = None) -> Outcome:
    """The promote stage: register the best checkpoint, decide, and let the alias follow.

    A decision is committed before the alias moves, so that a crash in between neither decides twice nor loses
    the promotion. It holds against the champion that it was made against: should another one come in between,
    it is made anew. The pipeline acts once, never against a person's refusal, and not at all on a run that
    needs an approval; asked by a person, the decision is made against today's champion.
    The first decision of a run stays its artifact, a later one stands in the champion's history.
    """
    if wish and wish.ask:
        require_approval(run)
    evaluation = run_evaluate(run)
    registry, model = open_registry(run.runtime), run.config.promotion.registered_model
    run.checkpoints.pin(best_checkpoint(run), "registered", f"a version of {model} was made from it")
    version = register_best(run, registry, evaluation, mlflow_run_id)
    attempt = _Attempt(run, registry, version, run.committed(evaluation), wish)
    while (outcome := attempt.settle()) is None:
        pass
    if wish:
        run.progress.say(f"{gates_text(outcome.decision)}\n{outcome.text}")
    return outcome


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
        self._is_asked = wish is not None
        self._wish = wish or Wish(ask=needs_approval(run))
        self._champions = Champions(run.store, registry, version.model)
        self._identity = identify("promote", {"promotion": run.config.promotion}, [evaluation])

    def settle(self) -> Outcome | None:
        """Decide against the present champion and act on it; None if that changed in the meantime."""
        champion = self._champions.current()
        decision = self._standing(champion)
        decision = decision or _decide(self._run, self._registry, champion, self._version)
        if self._wish.approval:
            decision = decision.model_copy(update={"approval": self._wish.approval})
        with self._champions.turn() as still:
            if _reference(still) != _reference(champion):
                return None
            self._commit(decision)
            self._registry.tag(self._version, decision_tags(decision))
            outcome = self._act(decision, champion)
            if (self._is_asked or outcome.waits) and _reference(champion) != self._version.reference:
                self._registry.tag(self._version, {"approval": outcome.approval})
        return outcome

    def _standing(self, champion: RegisteredVersion | None) -> PromotionDecision | None:
        """The run's decision where it need not be made anew."""
        if self._run.store.find(self._run.paths.promotion, self._identity) is None:
            return None
        decision, present = read_decision(self._run), _reference(champion)
        if present in (_incumbent_reference(decision), self._version.reference):
            return decision
        done = not decision.promoted or self._was_champion()
        return decision if done and not self._is_asked else None

    def _was_champion(self) -> bool:
        return any(move.version == self._version.reference for move in self._champions.history())

    def _answer(self, decision: PromotionDecision) -> Approval | None:
        """What a person said: now, or where it is the pipeline that goes on, who refused it earlier."""
        if self._is_asked:
            return self._wish.approval
        store = self._run.store
        answered = (
            read_artifact(store, path, DECISION, PromotionDecision)
            for path in store.committed(self._run.paths.answers)
        )
        against = _incumbent_reference(decision)
        given = (each.approval for each in answered if _incumbent_reference(each) == against)
        return next((each for each in given if each is not None and not each.approved), None)

    def _commit(self, decision: PromotionDecision) -> None:
        """Keep the run's first decision, and each that somebody answered."""
        store, paths = self._run.store, self._run.paths
        kept = [(paths.promotion, self._identity)]
        if decision.approval:
            answered = identify("answer", {"decision": decision})
            kept.append((paths.answer(fingerprint(answered)), answered))
        for path, identity in kept:
            if store.find(path, identity) is None:
                with store.commit(path, identity) as staging:
                    (staging.directory / DECISION).write_text(decision.model_dump_json(indent=1))

    def _act(self, decision: PromotionDecision, champion: RegisteredVersion | None) -> Outcome:
        """Move the alias, or say why not."""
        mine, stays = self._version.reference, f"{_name(champion)} stays"
        text, waits = f"{mine} has been promoted before; {stays}", False
        if _reference(champion) == mine:
            text = f"{mine} is the champion already; nothing was changed"
        elif self._wish.force:
            text = self._move("forced", self._wish.force, decision, champion)
        elif not decision.promoted:
            text = f"{stays}; --force --reason TEXT overrules the gates"
        elif not self._is_asked and self._was_champion():
            pass  # the pipeline, resumed after it acted
        elif back := self._champions.rolled_back(self._version):
            text = (
                f"{mine} was rolled back ({back.reason}), and its evaluation is the same: {stays}; "
                "--force --reason TEXT makes it champion again"
            )
        elif refusal := _refusal(self._answer(decision), champion):
            text = f"{stays}: {refusal}"
        elif self._wish.ask:
            text, waits = f"{mine} passed its gates and waits for approval; until then {stays}", True
        else:
            text = self._move("promotion", decision.reason, decision, champion)
        return Outcome(decision, text, waits)

    def _move(
        self,
        kind: Literal["promotion", "forced"],
        reason: str,
        decision: PromotionDecision,
        champion: RegisteredVersion | None,
    ) -> str:
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
        return f"{move.version} is the champion now ({before})"


def _refusal(approval: Approval | None, champion: RegisteredVersion | None) -> str | None:
    """Why an answer moves nothing; None where it approves, or nobody was asked."""
    if approval is None:
        return None
    if not approval.approved:
        return f"refused: {approval.reason}"
    if approval.against != _reference(champion):
        asked = approval.against or "the base"
        return f"the approval was of a challenge to {asked}; start the promotion again to be asked anew"
    return None


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
