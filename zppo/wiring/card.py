"""What the model card of a registered student says, collected from its run."""

from collections.abc import Iterator

from schemas.config.data import SourceConfig
from schemas.config.teacher import EndpointTeacher, ModelTeacher
from schemas.evaluation import Evaluation, ModelScores, Score
from schemas.prepared import PreparedData
from schemas.promotion import AccuracyFact, DataFact, Lineage, ModelFact, RegisteredCard
from schemas.run import ResolvedModel
from zppo.wiring.context import RunContext
from zppo.wiring.licences import data_licence, model_licence
from zppo.wiring.prepare import read_prepared, run_prepare


def registered_card(run: RunContext, lineage: Lineage, evaluation: Evaluation) -> RegisteredCard:
    """The card of a run's best checkpoint; the same for the same run, whenever it is asked for."""
    report = read_prepared(run.store, run_prepare(run))
    config = run.config
    return RegisteredCard(
        name=config.promotion.registered_model,
        lineage=lineage,
        method=config.method.type,
        rounds=config.rounds,
        student=_model(run.record.student),
        teacher=_teacher(run),
        teacher_type=config.teacher.type,
        data=tuple(_data(source, report) for source in run.record.data.sources),
        data_fingerprint=evaluation.data_fingerprint,
        accuracies=tuple(each for model in evaluation.models for each in _accuracies(model)),
        confidence=evaluation.confidence,
        decoding=evaluation.decoding,
    )


def _model(model: ResolvedModel) -> ModelFact:
    return ModelFact(
        model=model.reference, revision=model.revision, digest=model.digest, licence=model_licence(model)
    )


def _teacher(run: RunContext) -> ModelFact | None:
    """The teacher where it is a model of whatever kind."""
    teacher = run.config.teacher
    if isinstance(teacher, ModelTeacher) and run.record.teacher is not None:
        return _model(run.record.teacher)
    if isinstance(teacher, EndpointTeacher):
        return ModelFact(model=teacher.model, revision=teacher.revision, digest=None, licence=None)
    return None


def _data(source: SourceConfig, report: PreparedData) -> DataFact:
    read = next(each for each in report.inputs if each.source == source.name)
    kept = next(each for each in report.sources if each.name == source.name)
    return DataFact(
        name=source.name,
        role=source.role,
        origin=read.name,
        digest=read.digest,
        questions=kept.questions("train") + kept.questions("validation") + kept.questions("test"),
        licence=data_licence(source),
    )


def _accuracies(model: ModelScores) -> Iterator[AccuracyFact]:
    scores = [("held out", model.in_distribution), ("out of distribution", model.out_of_distribution)]
    scores += [(each.source, each.score) for each in model.sources if each.kind is None]
    for name, score in scores:
        yield from _accuracy(model, name, score)


def _accuracy(model: ModelScores, name: str, score: Score) -> Iterator[AccuracyFact]:
    if score.accuracy is not None and score.interval is not None:
        yield AccuracyFact(
            model=model.role,
            questions_of=name,
            questions=score.questions,
            accuracy=score.accuracy,
            interval=score.interval,
        )
