"""A model alone on the held-out questions of a recipe, without a run that trained it."""

from schemas.evaluation import Evaluation
from zppo.core.evaluation import score_model
from zppo.runs import EVALUATION
from zppo.stores.identity import identify
from zppo.wiring.context import RunContext
from zppo.wiring.evaluate import model_answers
from zppo.wiring.prepare import run_prepare


def evaluate_alone(run: RunContext) -> str:
    """Evaluate the student that a run was opened with, untrained; returns the path of the result.

    Answers that are in the store already are not drawn again.
    """
    prepared, config, model = run_prepare(run), run.config.evaluation, run.record.student
    path, data = run.paths.evaluation, run.committed(prepared)
    identity = identify("evaluate", {"model": model.digest, "evaluation": config}, [data])
    if run.store.find(path, identity) is None:
        answers = model_answers(run, model.reference, run.student, prepared)
        scores = score_model("student", model.reference, model.digest, answers, config, run.config.seed)
        evaluation = Evaluation(
            data_fingerprint=data.fingerprint,
            decoding=config.decoding,
            samples=config.samples,
            confidence=config.confidence,
            bootstrap_resamples=config.bootstrap_resamples,
            models=(scores,),
            baselines=(),
        )
        with run.store.commit(path, identity) as staging:
            (staging.directory / EVALUATION).write_text(evaluation.model_dump_json(indent=1))
    return path
