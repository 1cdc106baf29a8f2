"""Homes with runs that are made up: every artifact is small, and its manifest and its place are real."""

import json
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from schemas.config.evaluation import CheckpointConfig
from schemas.config.run import RunConfig
from schemas.evaluation import Evaluation
from schemas.manifest import Identity, Manifest
from schemas.promotion import Contender, PromotionDecision
from schemas.run import Fork, ResolvedModel, RunRecord
from zppo.layout import RunPaths, StudyPaths, partial, shared
from zppo.recipes import load_recipe
from zppo.runs import DECISION, EVALUATION, RUN_FILE
from zppo.stores.files import Operations
from zppo.stores.identity import fingerprint, identify
from zppo.stores.local import LocalStore
from zppo.wiring.pool import draws_ahead, named_inputs

REPORT = Path(__file__).parent / "golden" / "artifacts" / "v1" / "step_report.json"
TEACHER = "commit:teacher"


@cache
def _pocket() -> RunConfig:
    return load_recipe("pocket")


@dataclass(frozen=True)
class RunPlan:
    """A run to make up."""

    name: str
    rounds: int = 4
    """Committed."""
    checkpoints: Collection[int] = (0, 2, 4)
    pinned: Collection[int] = ()
    scores: Mapping[int, float] = field(default_factory=dict)
    """Validation accuracy by round."""
    keep: CheckpointConfig = field(default_factory=lambda: CheckpointConfig(every=2, keep_last=1))
    data_seed: int = 0
    asks: bool = True
    """Whether it has a teacher pool."""
    finished: bool = False


class Home:
    """A home to fill."""

    def __init__(self, path: Path) -> None:
        # Nothing here has to outlive a crash.
        self.store = LocalStore(path, Operations(sync=lambda path: None))

    def run(self, plan: RunPlan) -> RunRecord:
        """Make up a run, with what it shares."""
        record, paths = _record(plan), RunPaths(plan.name)
        run = self._commit(
            paths.manifest, "run", {"name": plan.name}, (), {RUN_FILE: record.model_dump_json()}
        )
        prepared = self.prepared(record)
        pool = [self.pool(record, prepared)] if plan.asks else []
        if plan.rounds:
            self._commit(paths.base, "base", {}, [run, prepared, *pool], {"validation.json": "null"})
        self._rounds(plan, paths, run)
        for index in plan.pinned:
            self.store.write_file(paths.pin(index, "somebody"), b"needs it\n")
        if plan.finished:
            self._finish(paths, prepared)
        return record

    def prepared(self, record: RunRecord) -> Manifest:
        """The prepared data of a run."""
        return self._share("prepare", {"data": record.data}, ())

    def pool(self, record: RunRecord, prepared: Manifest) -> Manifest:
        """The teacher pool of a run."""
        assert draws_ahead(record.recipe)
        return self._share("precompute", {**named_inputs(record.recipe), "model": TEACHER}, [prepared])

    def answers(self, model: str, prepared: Manifest) -> Manifest:
        """A model's answers."""
        return self._share("answers", {"model": model}, [prepared])

    def journal(self, fingerprint: str) -> Path:
        """An unfinished precomputation, or one whose journal is still there."""
        directory = self.store.home / partial("precompute", fingerprint)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "answered.jsonl").write_text("{}\n")
        return directory

    def fork(self, parent: RunPlan, name: str, at_round: int) -> RunRecord:
        """A fork that has not computed anything, its shared artifacts linked."""
        paths, own, record = RunPaths(parent.name), RunPaths(name), _record(parent)
        for path in (
            paths.base,
            *(paths.checkpoint(each) for each in parent.checkpoints if each <= at_round),
        ):
            self.store.link(path, path.replace(parent.name, name, 1))
        for index in range(1, at_round + 1):
            self.store.link(paths.update(index), own.update(index))
        origin = Fork(parent=record, round=at_round, run_fingerprint="0" * 64, round_fingerprint="0" * 64)
        fork = record.model_copy(update={"name": name, "fork": origin})
        self._begin(fork)
        return fork

    def study_record(self, study: str, run: str, pool: Manifest) -> None:
        """What a study keeps of a finished run."""
        path = StudyPaths(study).record(run)
        self._commit(path, "study-run", {"run": run}, [pool], {"record.json": "{}"})

    def leave(self, name: str) -> Path:
        """What a killed process left under `tmp/`."""
        directory = self.store.home / "tmp" / name
        directory.mkdir(parents=True)
        (directory / "half").write_bytes(bytes(50))
        return directory

    def remove_run(self, name: str) -> None:
        """As a user does who needs it no more."""
        shutil.rmtree(self.store.home / name)

    def _begin(self, record: RunRecord) -> Manifest:
        files = {RUN_FILE: record.model_dump_json()}
        return self._commit(RunPaths(record.name).manifest, "run", {"name": record.name}, (), files)

    def _rounds(self, plan: RunPlan, paths: RunPaths, run: Manifest) -> None:
        for index in range(1, plan.rounds + 1):
            report = json.loads(REPORT.read_text()) | {"round": index}
            score = plan.scores.get(index)
            report["validation"] = None if score is None else {"questions": 10, "accuracy": score}
            self._commit(
                paths.update(index), "update", {"round": index}, [run], {"report.json": json.dumps(report)}
            )
        for index in plan.checkpoints:
            content = {"model.safetensors": f"{plan.name} {index}" * 10, "state.json": "{}"}
            self._commit(paths.checkpoint(index), "checkpoint", {"round": index}, [run], content)

    def _finish(self, paths: RunPaths, prepared: Manifest) -> None:
        contenders = [Contender(role=role, model=role, digest=f"{role} of {paths.name}") for role in _ROLES]
        for each in contenders:
            self.answers(each.digest, prepared)
        decision = PromotionDecision.model_construct(
            registered_model="m", challenger=contenders[0], incumbent=contenders[1], confidence=0.9,
            differences=(), gates=(), promoted=False, reason="no gain",
        )  # fmt: skip
        evaluation = Evaluation.model_construct(
            data_fingerprint=prepared.fingerprint, decoding=_pocket().evaluation.decoding, samples=1,
            confidence=0.9, bootstrap_resamples=100, models=(), baselines=(),
        )  # fmt: skip
        self._commit(paths.evaluation, "evaluate", {}, [prepared], {EVALUATION: evaluation.model_dump_json()})
        self._commit(paths.promotion, "promote", {}, (), {DECISION: decision.model_dump_json()})
        self._commit(paths.summary, "summary", {}, (), {"summary.md": "done"})

    def _share(self, stage: str, inputs: Mapping[str, Any], parents: Collection[Manifest]) -> Manifest:
        identity = identify(stage, inputs, list(parents))
        path = shared(stage, fingerprint(identity))
        return self.store.find(path, identity) or self._put(path, identity, {"data": f"{stage} {path}" * 20})

    def _commit(
        self,
        path: str,
        stage: str,
        inputs: Mapping[str, Any],
        parents: Collection[Manifest],
        files: Mapping[str, str],
    ) -> Manifest:
        return self._put(path, identify(stage, inputs, list(parents)), files)

    def _put(self, path: str, identity: Identity, files: Mapping[str, str]) -> Manifest:
        with self.store.commit(path, identity) as staging:
            for name, content in files.items():
                (staging.directory / name).write_text(content)
        return staging.manifest


_ROLES = ("challenger", "base")


def _record(plan: RunPlan) -> RunRecord:
    data = _pocket().data.model_copy(update={"seed": plan.data_seed})
    method = _pocket().method if plan.asks else load_recipe("pocket", ["method={type: grpo}"]).method
    recipe = _pocket().model_copy(
        update={"data": data, "method": method, "checkpoints": plan.keep, "rounds": max(plan.rounds, 9)}
    )
    student = ResolvedModel(reference="pocket/student", digest="commit:student")
    return RunRecord(name=plan.name, recipe=recipe, student=student, data=data)
