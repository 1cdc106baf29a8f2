"""Who needs what: the checkpoints and the shared artifacts that the runs and studies of a home refer to.

An artifact is referred to where a manifest names it as a parent, or where it was made from settings that a
run has: a run that has not read it yet would find it. When in doubt it is needed.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from schemas.config.run import RunConfig
from schemas.config.teacher import EndpointTeacher
from schemas.evaluation import Evaluation
from schemas.manifest import Manifest
from schemas.promotion import PromotionDecision
from schemas.run import ResolvedModel, RunRecord
from zppo.layout import PARTIAL, RunPaths, StudyPaths, shared, shared_stage
from zppo.runs import DECISION, EVALUATION
from zppo.stores.artifacts import read_artifact
from zppo.stores.local import LocalStore
from zppo.wiring.pool import draws_ahead, named_inputs

SHARED_STAGES = ("prepare", "precompute", "answers")


@dataclass(frozen=True)
class Needs:
    """What a run needs of the shared store."""

    record: RunRecord
    parents: frozenset[str]
    """Fingerprints that its artifacts name as what they were made from."""
    compared: frozenset[str] | None
    """Digests of the models whose answers it compared; None until it is finished: then it may need any."""

    def covers(self, manifest: Manifest) -> bool:
        """Whether the run needs a shared artifact."""
        if manifest.fingerprint in self.parents:
            return True
        recipe, inputs = self.record.recipe, manifest.identity.inputs
        match manifest.identity.stage:
            case "prepare":
                return inputs.get("data") == self.record.data.model_dump(mode="json")
            case "precompute":
                return draws_ahead(recipe) and named_inputs(recipe).items() <= inputs.items()
            case _:
                same_questions = any(
                    parent.fingerprint in self.parents for parent in manifest.identity.parents
                )
                return same_questions and (self.compared is None or inputs.get("model") in self.compared)


def needed_checkpoints(home: Path, records: Iterable[RunRecord]) -> set[str]:
    """Checkpoints, by their paths in the store, that a fork went on from or a run has as a model."""
    return {path for record in records for path in (*_origins(record), *_models(home, record))}


def find_needs(store: LocalStore, record: RunRecord) -> Needs:
    """What a run needs, from its committed artifacts."""
    paths = RunPaths(record.name)
    made = (store.read(path) for path in (paths.base, paths.collect(1), paths.evaluation))
    parents = (parent for manifest in made if manifest for parent in manifest.identity.parents)
    return Needs(record, frozenset(parent.fingerprint for parent in parents), _compared(store, paths))


def unneeded_artifacts(store: LocalStore, needs: Sequence[Needs]) -> list[str]:
    """The shared artifacts that no run and no study refers to, directly or through another one."""
    found = {
        path: manifest
        for stage in SHARED_STAGES
        for path in store.committed(shared_stage(stage))
        if (manifest := store.read(path)) is not None
    }
    named = set(_named_by_studies(store))
    needed = {
        path: manifest
        for path, manifest in found.items()
        if manifest.fingerprint in named or any(need.covers(manifest) for need in needs)
    }
    named |= {parent.fingerprint for manifest in needed.values() for parent in manifest.identity.parents}
    return [
        path for path, manifest in found.items() if path not in needed and manifest.fingerprint not in named
    ]


def unneeded_journals(store: LocalStore, needs: Sequence[Needs]) -> list[str]:
    """The journals of teachers that are asked no further: they have answered, or no run waits for them."""
    pools = [store.read(path) for path in store.committed(shared_stage("precompute"))]
    pools_waited_for = any(
        draws_ahead(need.record.recipe)
        # A run without rounds names no pool yet, and one with its settings may be of another model.
        and (not need.parents or not any(pool and need.covers(pool) for pool in pools))
        for need in needs
    )
    answers = any(need.compared is None and _asks_teacher(need.record.recipe) for need in needs)
    waited = {"precompute": pools_waited_for, "answers": answers}
    journals = sorted(path.name for path in (store.home / PARTIAL).glob("*-*") if path.is_dir())
    return [
        f"{PARTIAL}/{name}"
        for name in journals
        if not waited.get(name.split("-", maxsplit=1)[0], True) or _finished(store, name)
    ]


def _asks_teacher(recipe: RunConfig) -> bool:
    """Whether a teacher behind an endpoint answers the held-out questions, with a journal of its own."""
    return recipe.evaluation.teacher and isinstance(recipe.teacher, EndpointTeacher)


def _finished(store: LocalStore, journal: str) -> bool:
    """Whether the artifact is there that a journal leads to; the journal is named after it."""
    stage, fingerprint = journal.split("-", maxsplit=1)
    return store.read(shared(stage, fingerprint)) is not None


def _origins(record: RunRecord) -> Iterator[str]:
    while record.fork is not None:
        yield RunPaths(record.fork.parent.name).checkpoint(record.fork.round)
        record = record.fork.parent


def _models(home: Path, record: RunRecord) -> Iterator[str]:
    """Models of the record that are directories below the home."""
    root = home.resolve()
    models: list[ResolvedModel] = [each for each in (record.student, record.teacher) if each is not None]
    for model in models:
        directory = Path(model.reference).resolve()
        if directory.is_relative_to(root):
            yield directory.relative_to(root).as_posix()


def _compared(store: LocalStore, paths: RunPaths) -> frozenset[str] | None:
    if store.read(paths.summary) is None:
        return None
    evaluation = read_artifact(store, paths.evaluation, EVALUATION, Evaluation)
    decision = read_artifact(store, paths.promotion, DECISION, PromotionDecision)
    return frozenset(
        [
            *(model.digest for model in evaluation.models),
            decision.challenger.digest,
            decision.incumbent.digest,
        ]
    )


def _named_by_studies(store: LocalStore) -> Iterator[str]:
    """Fingerprints that the records of studies name: they stay when their runs are removed."""
    for records in store.home.glob(StudyPaths("*").records):
        for path in store.committed(records.relative_to(store.home).as_posix()):
            manifest = store.read(path)
            yield from (parent.fingerprint for parent in (manifest.identity.parents if manifest else ()))
