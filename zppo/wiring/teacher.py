"""Teacher, compressors and the precompute stage of a run."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from pydantic import JsonValue

from schemas.config.method import Hint, OffPolicy, OnPolicy, Reformulation, WithTeacher
from schemas.config.models import DecodingConfig
from schemas.config.run import RunConfig
from schemas.config.teacher import (
    CompressionConfig,
    ExtractiveCompression,
    ModelTeacher,
    NoTeacher,
    RecordedTeacher,
    ReferenceTeacher,
    TeacherCompression,
)
from schemas.question import Question
from schemas.teacher import TeacherPool
from zppo.errors import InputError
from zppo.layout import partial, shared
from zppo.ports import Compressor, Teacher
from zppo.rendering import load_templates, templates_digest
from zppo.sampling import training_decoding
from zppo.stages.evaluate import Examinee, examine
from zppo.stages.precompute import REPORT, Precomputation, only_hard, precompute
from zppo.stores.files import sha256
from zppo.stores.identity import digest, fingerprint, identify
from zppo.teachers.adapters import OnlineTeacher, PoolTeacher
from zppo.teachers.compressors import ExtractiveCompressor, TeacherCompressor, load_compression_template
from zppo.teachers.hints import HintWriter, load_hint_template
from zppo.teachers.pool import RESPONSES, PoolTable
from zppo.teachers.sources import ModelSource, RecordedSource, ReferenceSource, ResponseSource
from zppo.wiring.context import RunContext
from zppo.wiring.prepare import run_prepare

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
        run.progress.say("precompute  nothing to do: the teacher answers while training (teacher.visits is 0)")
        return ""
    prepared = run_prepare(run)
    identity = identify("precompute", pool_inputs(run, config), [run.committed(prepared)])
    path = shared("precompute", fingerprint(identity))
    if run.store.find(path, identity) is None:
        questions = _questions_to_ask(run, prepared, config)
        responses = method.teacher_group_size * config.visits
        job = Precomputation(
            source=response_source(run, config),
            grader=run.grader,
            responses=responses,
            seed=run.config.data.seed,
            batch_questions=max(1, RESPONSES_AT_ONCE // responses),
            compressor=compressor(run) if isinstance(_compression(run.config), TeacherCompression) else None,
            hints=hint_writer(run),
        )
        unfinished = run.store.home / partial("precompute", fingerprint(identity))
        with (
            run.store.commit(path, identity) as staging,
            run.progress.track("precompute", len(questions)) as advance,
        ):
            precompute(questions, job, unfinished, staging.directory, lambda done, _: advance(done, ""))
        shutil.rmtree(unfinished)
        if run.teacher is not None and not works_in_rounds(run.config):
            run.teacher.unload()
    pool = TeacherPool.model_validate_json(run.store.file(path, REPORT).read_bytes())
    run.progress.say(
        f"precompute  {pool.responses:,} responses to {pool.questions:,} questions, {pool.correct:,} "
        f"correct; coverage {pool.coverage:.1%}"
    )
    if isinstance(method, Hint):
        if not pool.hints:
            raise InputError(
                f"the teacher wrote no usable hint to any question: {pool.hints_revealing:,} gave the answer "
                f"away, {pool.hints_missing:,} were empty, too long (method.max_hint_tokens) or not inside "
                "<hint> tags; use a stronger teacher, or another write_hint.txt in its template set"
            )
        run.progress.say(
            f"precompute  {pool.hints:,} hints from the correct ones; rejected {pool.hints_revealing:,} that "
            f"gave the answer away; {pool.hints_missing:,} missing or too long"
        )
    return path


def works_in_rounds(config: RunConfig) -> bool:
    """Whether the teacher model is needed while training.

    It gives logits, writes summaries, or answers when the pool is dry.
    """
    online = isinstance(config.teacher, ModelTeacher) and config.teacher.when_dry == "online"
    return (
        isinstance(config.method, OffPolicy | OnPolicy)
        or isinstance(_compression(config), TeacherCompression)
        or (online and isinstance(config.method, WithTeacher))
    )


def teacher(run: RunContext, pool: str) -> Teacher | None:
    """The teacher of a training run: the pool, and what serves when it is dry or there is none."""
    config = run.config.teacher
    if isinstance(config, NoTeacher) or not isinstance(run.config.method, WithTeacher):
        return None
    online = None
    if config.when_dry == "online":
        online = OnlineTeacher(response_source(run, config), run.grader, hint_writer(run))
    if not pool:
        return online
    return PoolTeacher(PoolTable(run.store.file(pool, RESPONSES)), config.when_dry, online)


def response_source(
    run: RunContext, config: ModelTeacher | ReferenceTeacher | RecordedTeacher
) -> ResponseSource:
    """Where the recipe's teacher responses come from."""
    if isinstance(config, ReferenceTeacher):
        return ReferenceSource()
    if isinstance(config, RecordedTeacher):
        return RecordedSource(Path(config.path))
    assert run.teacher is not None
    templates = load_templates(config.model.templates)
    return ModelSource(
        run.teacher.engine, lambda question: templates.render_plain(question.text), _decoding(config)
    )


def compressor(run: RunContext) -> Compressor:
    """What shortens candidates in the recipe."""
    config = _compression(run.config)
    if isinstance(config, ExtractiveCompression):
        return extractive(run)
    teacher_config = run.config.teacher
    assert run.teacher is not None
    assert isinstance(teacher_config, ModelTeacher)
    return TeacherCompressor(
        config,
        run.teacher.engine,
        _short_decoding(teacher_config, config.max_tokens),
        load_compression_template(teacher_config.model.templates),
        run.student.tokenizer.count_tokens,
    )


def hint_writer(run: RunContext) -> HintWriter | None:
    """What writes hints from the teacher's correct responses, where the method shows them."""
    method, config = run.config.method, run.config.teacher
    if not isinstance(method, Hint):
        return None
    assert run.teacher is not None
    assert isinstance(config, ModelTeacher), "the recipe's check demands it"
    return HintWriter(
        run.teacher.engine,
        _short_decoding(config, method.max_hint_tokens),
        load_hint_template(config.model.templates),
        method.max_hint_tokens,
        run.student.tokenizer.count_tokens,
    )


def _compression(config: RunConfig) -> CompressionConfig:
    """How the recipe shortens candidates; the default where its method shows none."""
    return config.method.compression if isinstance(config.method, Reformulation) else ExtractiveCompression()


def extractive(run: RunContext) -> ExtractiveCompressor:
    """Extractive shortening within the limits of the recipe's compression."""
    config = _compression(run.config)
    limits = ExtractiveCompression(max_tokens=config.max_tokens, max_lines=config.max_lines)
    return ExtractiveCompressor(limits, run.student.tokenizer.count_tokens)


def _decoding(config: ModelTeacher) -> DecodingConfig:
    """As the paper samples the teacher: temperature only."""
    return DecodingConfig(
        temperature=config.temperature,
        top_p=1.0,
        top_k=0,
        presence_penalty=0.0,
        max_response_tokens=config.max_response_tokens,
    )


def _short_decoding(config: ModelTeacher, tokens: int) -> DecodingConfig:
    """For a text of so many of the student's tokens: room for tags, and for a teacher with shorter ones."""
    return _decoding(config).model_copy(update={"max_response_tokens": 2 * tokens})


def pool_inputs(
    run: RunContext, config: ModelTeacher | ReferenceTeacher | RecordedTeacher
) -> dict[str, JsonValue]:
    """What the pool's content depends on: the same for all methods that ask for the same of the teacher.

    What happens when the pool is dry is not part of it.
    """
    method = run.config.method
    assert isinstance(method, WithTeacher)
    inputs: dict[str, JsonValue] = {
        "teacher": config.model_dump(mode="json", exclude={"when_dry", "engine"}),
        "responses": method.teacher_group_size * config.visits,
        "seed": run.config.data.seed,
        "grader": run.config.grader.model_dump(mode="json"),
    }
    if isinstance(config, ModelTeacher):
        assert run.record.teacher is not None
        inputs["model"] = run.record.teacher.digest
        inputs["templates"] = templates_digest(config.model.templates)
        inputs |= _written_inputs(run, config.model.templates)
    if isinstance(config, RecordedTeacher):
        inputs["file"] = sha256(_recorded_file(config))
    if config.only_hard:
        inputs["student"] = run.record.student.digest
        inputs["student_templates"] = templates_digest(run.config.student.templates)
        inputs["tau"] = run.config.method.tau
        inputs["group_size"] = run.config.method.group_size
        inputs["sampling"] = run.config.sampling.model_dump(mode="json")
    return inputs


def _written_inputs(run: RunContext, templates: str) -> dict[str, JsonValue]:
    """What summaries and hints depend on; nothing where the teacher writes none."""
    method, compression = run.config.method, _compression(run.config)
    written: dict[str, JsonValue] = {}
    if isinstance(compression, TeacherCompression):
        written["compression"] = compression.model_dump(mode="json")
        written["compression_template"] = digest(load_compression_template(templates).template)
    if isinstance(method, Hint):
        written["max_hint_tokens"] = method.max_hint_tokens
        written["hint_template"] = digest(load_hint_template(templates).template)
    return written and {**written, "length_tokenizer": run.student.tokenizer_digest}


def _recorded_file(config: RecordedTeacher) -> Path:
    path = Path(config.path)
    if not path.is_file():
        raise InputError(f"teacher.path: no such file: {path}; expected JSONL with recorded responses")
    return path


def _questions_to_ask(
    run: RunContext, prepared: str, config: ModelTeacher | ReferenceTeacher | RecordedTeacher
) -> Sequence[Question]:
    """All training questions, or those that the base student finds hard."""
    table = run.questions(prepared, "train")
    questions = table.at(range(len(table)))
    if not config.only_hard:
        return questions
    examinee = Examinee(
        run.student.engine,
        run.templates,
        run.grader,
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
