"""What the answers of an evaluation took, whichever run drew them."""

from collections.abc import Mapping

from schemas.config.run import RunConfig
from schemas.evaluation import AnsweringCost, Evaluation, Role
from schemas.manifest import Identity
from zppo.layout import shared_stage
from zppo.stores.answers import COST
from zppo.stores.artifacts import read_artifact
from zppo.stores.local import LocalStore


def answering_costs(
    store: LocalStore, evaluation: Evaluation, recipe: RunConfig
) -> Mapping[Role, AnsweringCost]:
    """What drawing and grading each model's answers took.

    A model is left out where the store has no answers of it any more, or several that the evaluation could
    be of.
    """
    paths = store.committed(shared_stage("answers"))
    found = {
        model.role: [
            path
            for path in paths
            if (manifest := store.read(path)) is not None
            and _is_of(manifest.identity, model.digest, evaluation.data_fingerprint, recipe)
        ]
        for model in evaluation.models
    }
    return {role: _cost(store, paths[0]) for role, paths in found.items() if len(paths) == 1}


def _cost(store: LocalStore, path: str) -> AnsweringCost:
    """As recorded; for answers of earlier programs the time of the process that ended them."""
    manifest = store.existing(path)
    if any(file.path == COST for file in manifest.files):
        return read_artifact(store, path, COST, AnsweringCost)
    return AnsweringCost(seconds=manifest.provenance.seconds)


def _is_of(identity: Identity, model: str, data: str, recipe: RunConfig) -> bool:
    """Whether these are a model's answers to the run's test questions, drawn as its recipe asks."""
    asked = identity.inputs.get("evaluation")
    wanted = recipe.evaluation.model_dump(mode="json", include={"samples", "max_questions"})
    return (
        identity.inputs.get("model") == model
        and identity.inputs.get("seed") == recipe.seed
        and any(parent.fingerprint == data for parent in identity.parents)
        and isinstance(asked, dict)
        and wanted.items() <= asked.items()
    )
