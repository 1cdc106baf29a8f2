"""The train stage of a run: its ports, wired."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial

from schemas.config.endpoints import EndpointsConfig
from schemas.config.grader import TeacherJudge
from schemas.config.run import RunConfig
from schemas.config.teacher import EndpointTeacher
from schemas.question import Question
from schemas.report import RoundTimings, StepReport, ValidationReport
from schemas.rollout import Verdict
from schemas.spend import EndpointSpend
from zppo.beside import Behind, Threads, threads
from zppo.data.order import round_positions, sample_positions
from zppo.data.table import QuestionTable, read_questions
from zppo.errors import StoreError
from zppo.methods.base import Collector
from zppo.phases import Phases
from zppo.ports import Learner
from zppo.stages.evaluate import Examinee, validate
from zppo.stages.train import Trainer, Training, read_reports
from zppo.stores.rounds import read_verdicts
from zppo.tracking.mlflow import MlflowTracker
from zppo.wiring.context import RunContext, grading_processes
from zppo.wiring.grader import compares_mathematics, judges_free_form
from zppo.wiring.learner import open_learner
from zppo.wiring.models import use_threads
from zppo.wiring.precompute import run_precompute
from zppo.wiring.prepare import run_prepare
from zppo.wiring.teacher import answers_in_rounds, compressor, extractive, teacher, works_in_rounds
from zppo.wiring.tracking import deliver_round


@dataclass
class _Place:
    """Where the training is, for the watchdog's report."""

    round: int
    phases: Phases = field(default_factory=Phases)

    def __call__(self) -> str:
        within = f" ({self.phases.current})" if self.phases.current else ""
        return f"of round {self.round}{within}"


@contextmanager
def open_training(run: RunContext, tracker: MlflowTracker) -> Iterator[Trainer]:
    """The rounds of a run that are left, with a bar; refused where the data does not fill one round."""
    prepared, pool = run_prepare(run), run_precompute(run)
    if run.record.fork is not None:
        check_shared(run, prepared, pool)
        _rebuild(run, run.record.fork.round, prepared)
    total, done = run.config.rounds, run.committed_rounds()
    place = _Place(done + 1, run.phases)
    with (
        run.progress.track("train", total, done) as advance,
        run.watchdog.during(place),
        Behind("tracking") as behind,
        beside_the_sampler(run.config, run.runtime.endpoints) as beside,
        open_learner(run) as learner,
        Behind("writing") as writing,
    ):

        def observe(report: StepReport, timings: RoundTimings) -> None:
            place.round = report.round + 1
            behind.do(partial(deliver_round, run, tracker, report, timings))
            advance(report.round, _note(report))

        training = _training(run, learner, prepared, pool, place)
        collector = replace(training.collector, beside=beside)
        yield Trainer(
            replace(training, collector=collector, observe=observe, settle=behind.settle, writing=writing)
        )
    run.student.unload()
    if run.teacher is not None:
        run.teacher.unload()


def beside_the_sampler(
    config: RunConfig, endpoints: EndpointsConfig
) -> AbstractContextManager[Threads | None]:
    """Threads for what other processes answer, here or at an endpoint, and for grading beside vLLM's servers.

    Other rules need this interpreter as the sampler does, and a teacher that judges needs this machine.
    """
    judges = judges_free_form(config)
    if judges and isinstance(config.judge, TeacherJudge):
        return nullcontext()
    asks_teacher = isinstance(config.teacher, EndpointTeacher) and answers_in_rounds(config)
    reached = (endpoints.teacher if asks_teacher else None, endpoints.judge if judges else None)
    counts = [access.concurrency for access in reached if access is not None]
    if compares_mathematics(config) or config.engine.type == "vllm":
        counts.append(grading_processes())
    return threads(max(counts), teacher=asks_teacher, judged=judges) if counts else nullcontext()


def check_shared(run: RunContext, prepared: str, pool: str) -> None:
    """Refuse a fork whose questions or teacher responses are not those of the rounds that it shares."""
    base = run.committed(run.paths.base)
    for path in filter(None, (prepared, pool)):
        mine = run.committed(path).as_parent()
        theirs = [each for each in base.identity.parents if each.stage == mine.stage]
        if theirs and mine not in theirs:
            raise StoreError(
                f"the {mine.stage} stage of {run.name!r} gives {run.store.home / path}, but the rounds that "
                f"it shares began with {theirs[0].fingerprint[:16]}: a file that the stage reads has changed "
                "since. Restore it, or start a new run"
            )


def _rebuild(run: RunContext, index: int, prepared: str) -> None:
    """Write a fork's first checkpoint by its parent's recipe, unless it or a later one is there."""
    if any(each >= index for each in run.checkpoints.written()):
        return
    parent = run.as_parent()
    run.progress.say(f"train       computes the committed updates before round {index + 1} again")
    with open_learner(parent) as learner:
        Trainer(_training(parent, learner, prepared, "", _Place(index))).rebuild(index)
    parent.student.unload()
    if parent.teacher is not None:
        parent.teacher.unload()


def best_checkpoint(run: RunContext) -> int:
    """The round whose checkpoint validates best; the last one where nothing was validated."""
    return run.checkpoints.best(read_reports(run.store, run.paths))


def _training(run: RunContext, learner: Learner, prepared: str, pool: str, place: _Place) -> Training:
    config = run.config
    questions = run.questions(prepared, "train")
    use_threads(run.student.module, run.runtime.threads)
    endpoint = run.teacher_endpoint if works_in_rounds(run.config) else None
    examinee = Examinee(
        run.student.engine,
        run.templates,
        run.grading.evaluation,
        config.evaluation.decoding,
        config.validation.samples,
        config.seed,
    )
    held_out, outside = _validation_questions(run, prepared)
    round_positions(1, len(questions), config.questions_per_round, config.seed)

    def spend() -> EndpointSpend | None:
        return run.grading.judge.take() if run.grading.judge is not None else None

    def validated() -> ValidationReport | None:
        spend()
        report = validate(held_out, outside, examinee)
        return report and report.model_copy(update={"judge_spend": spend()})

    if run.grading.judge is not None:
        run.grading.judge.remember(_judged(run, questions))
    return Training(
        paths=run.paths,
        parents=[run.manifest, run.committed(prepared), *([run.committed(pool)] if pool else [])],
        store=run.store,
        method=run.method,
        rounds=config.rounds,
        seed=config.seed,
        drift_limit=config.sampler_drift_limit,
        collector=_collector(run, pool, questions, place.phases),
        learner=learner,
        checkpoints=run.checkpoints,
        phases=place.phases,
        importance_cap=config.learner.importance_cap,
        new_questions=lambda index: questions.at(
            round_positions(index, len(questions), config.questions_per_round, config.seed)
        ),
        validate=validated,
        teacher_spend=endpoint.take if endpoint is not None else lambda: None,
        judge_spend=spend,
    )


def _judged(run: RunContext, questions: QuestionTable) -> Iterator[tuple[Question, str, Verdict]]:
    """The verdicts of the rounds that are collected already."""
    index = 1
    while run.store.read(path := run.paths.collect(index)) is not None:
        for question_id, text, verdict in read_verdicts(run.store.home / path):
            yield questions.by_id(question_id), text, verdict
        index += 1


def _validation_questions(run: RunContext, prepared: str) -> tuple[list[Question], list[Question]]:
    """Questions answered at every checkpoint: of the training sources, and of the others where asked."""
    config, table = run.config, run.questions(prepared, "validation")
    held_out = table.at(sample_positions(config.validation.max_questions, len(table), config.seed))
    if not config.validation.out_of_distribution:
        return held_out, []
    training = {source.name for source in config.data.sources if source.role == "train"}
    test = read_questions(run.store.file(prepared, "test.parquet"))
    outside = [question for question in test if question.source not in training]
    chosen = sample_positions(config.validation.max_questions, len(outside), config.seed)
    return held_out, [outside[position] for position in chosen]


def _collector(run: RunContext, pool: str, questions: QuestionTable, phases: Phases) -> Collector:
    return Collector(
        engine=run.student.engine,
        grader=run.grading.training,
        teacher=teacher(run, pool),
        compressor=compressor(run),
        extractive=extractive(run),
        templates=run.templates,
        special_tokens=run.student.special_tokens,
        sampling=run.config.sampling,
        seed=run.config.seed,
        question=questions.by_id,
        phase=phases.phase,
    )


def _note(report: StepReport) -> str:
    """Accuracies of the round in a few words."""
    parts = [f"{each.kind} {each.accuracy:.2f}" for each in report.kinds if each.accuracy is not None]
    if report.validation is not None:
        parts.append(f"held out {report.validation.accuracy:.3f}")
    return "  ".join(parts)
