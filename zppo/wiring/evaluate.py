"""The evaluate stage of a run: base, best checkpoint and teacher on the same held-out questions."""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence

from schemas.config.teacher import EndpointTeacher, ModelTeacher
from schemas.evaluation import (
    AnsweringCost,
    BaselineScore,
    Evaluation,
    EvaluationAnswer,
    ModelScores,
    Role,
)
from schemas.question import Question
from schemas.run import ResolvedModel
from zppo.core.evaluation import baseline_scores, score_model
from zppo.core.randomness import generator
from zppo.data.table import read_questions
from zppo.errors import EngineError, InputError
from zppo.layout import shared
from zppo.models.loading import ModelReference, digest
from zppo.rendering import load_templates, templates_digest
from zppo.runs import EVALUATION
from zppo.stages.evaluate import Examinee, answer_questions
from zppo.stores.answers import ANSWERS, read_answers, write_answers
from zppo.stores.artifacts import read_artifact
from zppo.stores.identity import fingerprint, identify
from zppo.wiring.context import RunContext
from zppo.wiring.endpoint_answers import EndpointExaminee
from zppo.wiring.grader import judge_inputs
from zppo.wiring.models import LoadedModel
from zppo.wiring.prepare import run_prepare
from zppo.wiring.train import best_checkpoint


def run_evaluate(run: RunContext) -> str:
    """Evaluate the models of a trained run; returns the path of the result.

    Raises:
        InputError: Rounds are left: another checkpoint could be the best in the end, and a run has one
            evaluation.
    """
    done, rounds = run.committed_rounds(), run.config.rounds
    if done < rounds:
        raise InputError(
            f"the run {run.name!r} has trained {done} of {rounds} rounds, and its best checkpoint is known "
            f"after the last one; go on with: zppo resume {run.name}"
        )
    prepared, best = run_prepare(run), best_checkpoint(run)
    path, config = run.paths.evaluation, run.config.evaluation
    parents = [run.committed(run.paths.checkpoint(best)), run.committed(prepared)]
    identity = identify("evaluate", {"round": best}, parents)
    if run.store.find(path, identity) is None:
        evaluation = Evaluation(
            data_fingerprint=run.committed(prepared).fingerprint,
            decoding=config.decoding,
            samples=config.samples,
            confidence=config.confidence,
            bootstrap_resamples=config.bootstrap_resamples,
            models=(
                *_student_scores(run, best, prepared),
                *_teacher_scores(run, prepared),
            ),
            baselines=_baselines(run, prepared),
        )
        with run.store.commit(path, identity) as staging:
            (staging.directory / EVALUATION).write_text(evaluation.model_dump_json(indent=1))
    return path


def read_evaluation(run: RunContext) -> Evaluation:
    """The evaluation of a run that has one."""
    return read_artifact(run.store, run.paths.evaluation, EVALUATION, Evaluation)


def model_answers(
    run: RunContext, title: str, model: LoadedModel, prepared: str, then: LoadedModel | None = None
) -> list[EvaluationAnswer]:
    """A model's graded answers to the test questions, drawn once for all runs that share them.

    Args:
        run: The run.
        title: What the model is, for the progress line.
        model: It is let go afterwards.
        prepared: Path of the prepared data.
        then: The model whose turn is next, if it may have the servers of this one.
    """
    config = run.config
    identity = identify(
        "answers",
        {
            "model": model.resolved.digest,
            "templates": templates_digest(model.config.templates),
            "dtype": model.config.dtype,
            "thinking": model.config.enable_thinking,
            "evaluation": config.evaluation.model_dump(
                mode="json", include={"samples", "decoding", "max_questions"}
            ),
            "grader": config.grader,
            "seed": config.seed,
            **judge_inputs(run.record),
        },
        [run.committed(prepared)],
    )
    path = shared("answers", fingerprint(identity))
    if run.store.find(path, identity) is None:
        questions = test_questions(run, prepared)
        model.use_threads()
        examinee = Examinee(
            model.engine,
            load_templates(model.config.templates),
            run.grading.evaluation,
            config.evaluation.decoding,
            config.evaluation.samples,
            config.seed,
        )
        training = {source.name for source in config.data.sources if source.role == "train"}
        with (
            run.store.commit(path, identity) as staging,
            run.progress.track(f"evaluate {title}", len(questions)) as advance,
        ):
            started = time.monotonic()
            answers = answer_questions(questions, examinee, training, advance)
            cost = AnsweringCost(seconds=time.monotonic() - started)
            write_answers(staging.directory, answers, cost)
        if then is not None:
            then.take_servers(model)
    model.unload()
    return read_answers(run.store.file(path, ANSWERS))


def test_questions(run: RunContext, prepared: str) -> list[Question]:
    """The test split, at most `max_questions` of each source, drawn by the run's seed."""
    table = run.questions(prepared, "test")
    questions, most = table.at(range(len(table))), run.config.evaluation.max_questions
    if most is None:
        return questions
    by_source: dict[str, list[Question]] = defaultdict(list)
    for question in questions:
        by_source[question.source].append(question)
    return [
        question
        for source, own in by_source.items()
        for question in generator(run.config.seed, "evaluation", source).sample(own, min(most, len(own)))
    ]


def checkpoint_model(run: RunContext, index: int) -> LoadedModel:
    """The student as it was after a round."""
    directory = run.store.home / run.paths.checkpoint(index)
    run.store.verify(run.paths.checkpoint(index))
    resolved = ResolvedModel(
        reference=str(directory), digest=digest(ModelReference(str(directory), directory=directory))
    )
    return run.load(run.config.student, resolved)


def _student_scores(run: RunContext, best: int, prepared: str) -> Iterator[ModelScores]:
    """Of the student before and after training, which take turns on the same servers where it has some.

    Names hold no path of this machine.
    """
    reference = run.record.student
    base, trained = run.load(run.config.student, reference), checkpoint_model(run, best)
    yield _scores(run, "base", reference.reference, base, prepared, then=trained)
    yield _scores(run, "student", run.paths.checkpoint(best), trained, prepared)


def _teacher_scores(run: RunContext, prepared: str) -> Iterator[ModelScores]:
    """Of the teacher, where it is a model; one behind an endpoint may end by its budget: it comes last."""
    config, teacher = run.config.evaluation, run.config.teacher
    if config.teacher and isinstance(teacher, ModelTeacher):
        resolved = run.record.teacher
        assert resolved is not None
        model = run.load(teacher.model, resolved, teacher.engine)
        yield _scores(run, "teacher", resolved.reference, model, prepared)
    if config.teacher and isinstance(teacher, EndpointTeacher):
        examinee = EndpointExaminee(run, teacher)
        try:
            answers = examinee.answers(test_questions(run, prepared), prepared)
        except (EngineError, InputError) as error:
            raise type(error)(f"{error}. {_without_the_teacher(run)}") from error
        yield score_model("teacher", examinee.name, examinee.digest, answers, config, run.config.seed)


def _without_the_teacher(run: RunContext) -> str:
    """How to go on where a teacher behind an endpoint does not come back."""
    return (
        "All rounds and the answers of base and student are committed. If the teacher is gone for good, "
        "leave it out of the evaluation, in a run that shares them (--home and --machine as before): "
        f"zppo fork {run.name} --as {run.name}-2 --at-round {run.config.rounds} "
        "--set evaluation.teacher=false"
    )


def _scores(
    run: RunContext,
    role: Role,
    name: str,
    model: LoadedModel,
    prepared: str,
    then: LoadedModel | None = None,
) -> ModelScores:
    answers = model_answers(run, role, model, prepared, then)
    return score_model(role, name, model.resolved.digest, answers, run.config.evaluation, run.config.seed)


def _baselines(run: RunContext, prepared: str) -> Sequence[BaselineScore]:
    train = read_questions(run.store.file(prepared, "train.parquet"))
    gold: dict[str, list[str]] = defaultdict(list)
    for question in test_questions(run, prepared):
        gold[question.source].append(question.answer)
    return baseline_scores((question.answer for question in train), gold)
