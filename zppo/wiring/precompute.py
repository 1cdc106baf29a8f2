"""The precompute stage of a run: the teacher's responses, drawn ahead of training."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from pydantic import JsonValue

from schemas.config.method import Hint, WithTeacher
from schemas.config.teacher import (
    EndpointTeacher,
    ModelTeacher,
    NoTeacher,
    RecordedTeacher,
    ReferenceTeacher,
    TeacherCompression,
)
from schemas.manifest import Identity
from schemas.question import Question
from schemas.teacher import TeacherPool
from zppo.errors import InputError
from zppo.layout import partial, shared
from zppo.rendering import templates_digest
from zppo.sampling import training_decoding
from zppo.stages.evaluate import Examinee, examine
from zppo.stages.journal import in_turn
from zppo.stages.precompute import REPORT, SPEND, Precomputation, only_hard, precompute
from zppo.stores.artifacts import read_artifact
from zppo.stores.files import sha256
from zppo.stores.identity import digest, fingerprint, identify
from zppo.teachers.compressors import load_compression_template
from zppo.teachers.hints import load_hint_template
from zppo.wiring.context import RunContext
from zppo.wiring.grader import judge_inputs
from zppo.wiring.pool import named_inputs
from zppo.wiring.prepare import run_prepare
from zppo.wiring.teacher import compression, compressor, hint_writer, response_source, works_in_rounds

AnyTeacher = ModelTeacher | EndpointTeacher | ReferenceTeacher | RecordedTeacher
RESPONSES_AT_ONCE = 512
"""Teacher responses between two lines of the journal: what a crash of the precomputation can lose."""


def run_precompute(run: RunContext) -> str:
    """Draw the teacher's responses ahead of training, or find them drawn.

    Returns:
        The pool's path in the store; empty where the method asks no teacher.
    """
    return run.once("precompute", _precompute)


def _precompute(run: RunContext) -> str:
    config = run.config.teacher
    method = run.config.method
    if not isinstance(method, WithTeacher) or isinstance(config, NoTeacher):
        run.progress.say(f"precompute  nothing to do: {run.config.method.type} asks no teacher for responses")
        return ""
    if config.visits == 0:
        run.progress.say(
            "precompute  nothing to do: the teacher answers while training (teacher.visits is 0)"
        )
        return ""
    prepared = run_prepare(run)
    identity = identify("precompute", pool_inputs(run, config), [run.committed(prepared)])
    path = shared("precompute", fingerprint(identity))
    journal = partial("precompute", fingerprint(identity))
    unfinished = run.store.home / journal
    if run.store.find(path, identity) is None or unfinished.exists():
        with in_turn(run.store, journal, lambda text: run.progress.say(f"precompute  {text}")):
            if run.store.find(path, identity) is None:
                _draw(run, method, config, prepared, unfinished, path, identity)
    pool = read_artifact(run.store, path, REPORT, TeacherPool)
    _say(run, pool)
    if isinstance(method, Hint) and not pool.hints:
        raise InputError(
            f"the teacher wrote no usable hint to any question: {pool.hints_revealing:,} gave the answer "
            f"away, {pool.hints_missing:,} were empty, too long (method.max_hint_tokens) or not inside "
            "<hint> tags; use a stronger teacher, or another write_hint.txt in its template set"
        )
    return path


def _draw(
    run: RunContext,
    method: WithTeacher,
    config: AnyTeacher,
    prepared: str,
    unfinished: Path,
    path: str,
    identity: Identity,
) -> None:
    """Ask the teacher what the journal does not have, and commit the pool."""
    with _job(run, method, config, unfinished) as job:
        questions = _questions_to_ask(run, prepared, config)
        with (
            run.store.commit(path, identity) as staging,
            run.progress.track("precompute", len(questions)) as advance,
        ):
            precompute(
                questions, job, unfinished, staging.directory, lambda done, _: advance(done, _spend(run))
            )
    if run.teacher is not None and not works_in_rounds(run.config):
        run.teacher.unload()


@contextmanager
def _job(
    run: RunContext, method: WithTeacher, config: AnyTeacher, unfinished: Path
) -> Iterator[Precomputation]:
    """What is asked of whom; an endpoint's spend is kept beside the journal meanwhile."""
    responses = method.teacher_group_size * config.visits
    job = Precomputation(
        source=response_source(run, config),
        grader=run.grading.training,
        responses=responses,
        seed=run.config.data.seed,
        batch_questions=max(1, RESPONSES_AT_ONCE // responses),
        compressor=compressor(run) if isinstance(compression(run.config), TeacherCompression) else None,
        hints=hint_writer(run),
    )
    endpoint = run.teacher_endpoint
    if endpoint is None:
        yield job
        return
    with endpoint.logged(unfinished / SPEND) as spent:
        beside = endpoint.side_by_side(responses)
        yield replace(job, side_by_side=beside, spent=lambda: endpoint.priced(spent.total()))


def _spend(run: RunContext) -> str:
    """For the progress line: what the run has spent at its teacher's endpoint."""
    return run.teacher_endpoint.total.text if run.teacher_endpoint is not None else ""


def _say(run: RunContext, pool: TeacherPool) -> None:
    run.progress.say(
        f"precompute  {pool.responses:,} responses to {pool.questions:,} questions, {pool.correct:,} "
        f"correct; coverage {pool.coverage:.1%}{f'; cost {pool.spend.text}' if pool.spend else ''}"
    )
    if isinstance(run.config.method, Hint):
        run.progress.say(
            f"precompute  {pool.hints:,} hints from the correct ones; rejected {pool.hints_revealing:,} that "
            f"gave the answer away; {pool.hints_missing:,} missing or too long"
        )


def pool_inputs(run: RunContext, config: AnyTeacher) -> dict[str, JsonValue]:
    """What the pool's content depends on: its settings, and the digests of what they name."""
    inputs = named_inputs(run.config) | judge_inputs(run.record, "evaluation")
    if isinstance(config, ModelTeacher):
        assert run.record.teacher is not None
        inputs["model"] = run.record.teacher.digest
        inputs["templates"] = templates_digest(config.model.templates)
        inputs |= _written_inputs(run, config.model.templates)
    if isinstance(config, EndpointTeacher):
        inputs["templates"] = templates_digest(config.templates)
        inputs |= _written_inputs(run, config.templates)
    if isinstance(config, RecordedTeacher):
        inputs["file"] = sha256(_recorded_file(config))
    if config.only_hard:
        inputs["student"] = run.record.student.digest
        inputs["student_templates"] = templates_digest(run.config.student.templates)
    return inputs


def _written_inputs(run: RunContext, templates: str) -> dict[str, JsonValue]:
    """What summaries and hints depend on besides their settings; nothing where the teacher writes none."""
    written: dict[str, JsonValue] = {}
    if isinstance(compression(run.config), TeacherCompression):
        written["compression_template"] = digest(load_compression_template(templates).template)
    if isinstance(run.config.method, Hint):
        written["hint_template"] = digest(load_hint_template(templates).template)
    return written and {**written, "length_tokenizer": run.student.tokenizer_digest}


def _recorded_file(config: RecordedTeacher) -> Path:
    path = Path(config.path)
    if not path.is_file():
        raise InputError(f"teacher.path: no such file: {path}; expected JSONL with recorded responses")
    return path


def _questions_to_ask(run: RunContext, prepared: str, config: AnyTeacher) -> Sequence[Question]:
    """All training questions, or those that the base student finds hard."""
    table = run.questions(prepared, "train")
    questions = table.at(range(len(table)))
    if not config.only_hard:
        return questions
    examinee = Examinee(
        run.student.engine,
        run.templates,
        run.grading.training,
        training_decoding(run.config.sampling),
        run.config.method.group_size,
        run.config.data.seed,
    )
    accuracies: dict[str, float] = {}
    with run.progress.track("find hard", len(questions)) as advance:
        for start in range(0, len(questions), 256):
            groups = examine(questions[start : start + 256], examinee, "hard")
            accuracies |= {
                group.question_id: group.accuracy for group in groups if group.accuracy is not None
            }
            advance(start + len(groups), "")
    return only_hard(questions, accuracies, run.config.method.tau)
