"""How long the answers of an evaluation took: their manifests say it, whichever run drew them."""

from collections.abc import Mapping

from schemas.config.run import RunConfig
from schemas.evaluation import Evaluation, Role
from schemas.manifest import Identity
from zppo.layout import shared_stage
from zppo.stores.local import LocalStore


def answer_seconds(store: LocalStore, evaluation: Evaluation, recipe: RunConfig) -> Mapping[Role, float]:
    """Seconds of drawing and grading each model's answers.

    A model is left out where the store has no answers of it any more, or several that the evaluation could
    be of.
    """
    manifests = [store.read(path) for path in store.committed(shared_stage("answers"))]
    found = {
        model.role: [
            each.provenance.seconds
            for each in manifests
            if each is not None and _is_of(each.identity, model.digest, evaluation.data_fingerprint, recipe)
        ]
        for model in evaluation.models
    }
    return {role: seconds[0] for role, seconds in found.items() if len(seconds) == 1}


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
