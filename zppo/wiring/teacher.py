"""The teacher of a run, and what shortens its responses and writes its hints."""

from pathlib import Path

from schemas.config.grader import TeacherJudge
from schemas.config.method import Hint, OffPolicy, OnPolicy, Reformulation, WithTeacher
from schemas.config.models import DecodingConfig
from schemas.config.run import RunConfig
from schemas.config.teacher import (
    CompressionConfig,
    EndpointTeacher,
    ExtractiveCompression,
    ModelTeacher,
    NoTeacher,
    RecordedTeacher,
    ReferenceTeacher,
    TeacherCompression,
)
from zppo.ports import Compressor, Teacher, TextModel
from zppo.rendering import load_templates
from zppo.teachers.adapters import OnlineTeacher, PoolTeacher, TeacherName
from zppo.teachers.compressors import ExtractiveCompressor, TeacherCompressor, load_compression_template
from zppo.teachers.hints import HintWriter, load_hint_template
from zppo.teachers.pool import RESPONSES, PoolTable
from zppo.teachers.sources import ModelSource, RecordedSource, ReferenceSource, ResponseSource
from zppo.teachers.text import EndpointText, EngineText
from zppo.wiring.context import RunContext


def answers_in_rounds(config: RunConfig) -> bool:
    """Whether the teacher draws responses while training: all of them, or when the pool is dry."""
    return (
        isinstance(config.teacher, ModelTeacher | EndpointTeacher)
        and config.teacher.when_dry == "online"
        and isinstance(config.method, WithTeacher)
    )


def works_in_rounds(config: RunConfig) -> bool:
    """Whether the teacher's model is needed while training.

    It gives logits, writes summaries, judges, or draws responses.
    """
    return (
        isinstance(config.method, OffPolicy | OnPolicy)
        or isinstance(config.judge, TeacherJudge)
        or isinstance(compression(config), TeacherCompression)
        or answers_in_rounds(config)
    )


def teacher(run: RunContext, pool: str) -> Teacher | None:
    """The teacher of a training run: the pool, and what serves when it is dry or there is none."""
    config = run.config.teacher
    if isinstance(config, NoTeacher) or not isinstance(run.config.method, WithTeacher):
        return None
    name, online = teacher_name(run, config), None
    if config.when_dry == "online":
        online = OnlineTeacher(response_source(run, config), run.grading.training, name, hint_writer(run))
    if not pool:
        return online
    return PoolTeacher(PoolTable(run.store.file(pool, RESPONSES)), name, config.when_dry, online)


def response_source(
    run: RunContext, config: ModelTeacher | EndpointTeacher | ReferenceTeacher | RecordedTeacher
) -> ResponseSource:
    """Where the recipe's teacher responses come from."""
    if isinstance(config, ReferenceTeacher):
        return ReferenceSource()
    if isinstance(config, RecordedTeacher):
        return RecordedSource(Path(config.path))
    templates = load_templates(templates_of(config))
    return ModelSource(
        _text_model(run, config),
        lambda question: templates.render_plain(question.text),
        config.max_response_tokens,
        config.type,
    )


def teacher_name(
    run: RunContext, config: ModelTeacher | EndpointTeacher | ReferenceTeacher | RecordedTeacher
) -> TeacherName:
    """How rounds name the teacher whose responses they use."""
    if isinstance(config, ModelTeacher):
        assert run.record.teacher is not None
        return TeacherName(run.record.teacher.reference, run.record.teacher.revision)
    if isinstance(config, EndpointTeacher):
        return TeacherName(config.model, config.revision)
    return TeacherName(config.path if isinstance(config, RecordedTeacher) else "reference solutions")


def templates_of(config: ModelTeacher | EndpointTeacher) -> str:
    """The template set of a teacher that writes."""
    return config.model.templates if isinstance(config, ModelTeacher) else config.templates


def _text_model(run: RunContext, config: ModelTeacher | EndpointTeacher) -> TextModel:
    """What writes the teacher's responses, summaries and hints."""
    if isinstance(config, ModelTeacher):
        assert run.teacher is not None
        return EngineText(run.teacher.engine, _decoding(config))
    assert run.teacher_endpoint is not None
    client = run.teacher_endpoint.client
    return EndpointText(client, _decoding(config), config.enable_thinking, config.many_choices)


def compressor(run: RunContext) -> Compressor:
    """What shortens candidates in the recipe."""
    config = compression(run.config)
    if isinstance(config, ExtractiveCompression):
        return extractive(run)
    teacher_config = run.config.teacher
    assert isinstance(teacher_config, ModelTeacher | EndpointTeacher), "the recipe's check demands it"
    return TeacherCompressor(
        config,
        _text_model(run, teacher_config),
        load_compression_template(templates_of(teacher_config)),
        run.student.tokenizer.count_tokens,
    )


def hint_writer(run: RunContext) -> HintWriter | None:
    """What writes hints from the teacher's correct responses, where the method shows them."""
    method, config = run.config.method, run.config.teacher
    if not isinstance(method, Hint):
        return None
    assert isinstance(config, ModelTeacher | EndpointTeacher), "the recipe's check demands it"
    return HintWriter(
        _text_model(run, config),
        load_hint_template(templates_of(config)),
        method.max_hint_tokens,
        run.student.tokenizer.count_tokens,
    )


def compression(config: RunConfig) -> CompressionConfig:
    """How the recipe shortens candidates; the default where its method shows none."""
    return config.method.compression if isinstance(config.method, Reformulation) else ExtractiveCompression()


def extractive(run: RunContext) -> ExtractiveCompressor:
    """Extractive shortening within the limits of the recipe's compression."""
    config = compression(run.config)
    limits = ExtractiveCompression(max_tokens=config.max_tokens, max_lines=config.max_lines)
    return ExtractiveCompressor(limits, run.student.tokenizer.count_tokens)


def _decoding(config: ModelTeacher | EndpointTeacher) -> DecodingConfig:
    """As the paper samples the teacher: temperature only."""
    return DecodingConfig(
        temperature=config.temperature,
        top_p=1.0,
        top_k=0,
        presence_penalty=0.0,
        max_response_tokens=config.max_response_tokens,
    )
