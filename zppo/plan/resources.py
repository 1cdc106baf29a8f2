"""Memory of the training process, and disk, of a recipe."""

from collections.abc import Iterable

from schemas.config.models import TransformersEngineConfig
from schemas.config.run import RunConfig
from schemas.config.teacher import ModelTeacher
from zppo.models import size
from zppo.models.shapes import ModelShape, TextShape
from zppo.plan.estimates import Estimate, Work, product, total
from zppo.plan.tokens import helped, replayed

BYTES = {"float32": 4, "bfloat16": 2}
ROLLOUT_TOKEN_BYTES = 12
"""On disk, before compression: token id, log-probability and about four bytes of text."""
PROMPT_TOKEN_BYTES = 10
"""On disk, as JSON: token id with its comma, and about four bytes of text."""
TEACHER_TOKEN_BYTES = 4
"""Of text on disk, before compression; a round keeps that of the responses that are not in the pool."""
GROUP_BYTES = 400
"""Names, origin and the teacher's part in a group."""
CHECKPOINTS = "checkpoints"
"""Name of the one estimate of disk that is exact."""
MAX_CHUNK_LOGITS = 2**25
"""Logits of a micro-batch that the learner has alive at a time."""
ACTIVATION_VALUES = 17
"""Values that one layer keeps for the backward pass, per token and hidden unit: 34 bytes at two bytes a
value (Korthikanti et al. 2022, arXiv 2205.05198, equation 2, without the attention matrix)."""


def memory(config: RunConfig, student: ModelShape, teacher: ModelShape | None) -> Iterable[Estimate]:
    """Held in the training process; activations and key-value cache peak in turn."""
    shape, value, batch = student.text, BYTES[config.student.dtype], config.learner.max_batch_tokens
    weights = (("parameters", size.parameter_count(shape)), ("bytes", value))
    yield product("student weights", "bytes", *weights)
    yield product("gradients", "bytes", *weights)
    yield product("optimizer (AdamW)", "bytes", ("moments", 2), *weights)
    if config.learner.gradient_checkpointing:
        # The input of every layer is kept, and one layer at a time has everything.
        kept = ("layers + values in one layer", shape.num_hidden_layers + ACTIVATION_VALUES)
    else:
        kept = ("layers * values in a layer", shape.num_hidden_layers * ACTIVATION_VALUES)
    tokens = ("learner.max_batch_tokens", batch)
    yield product("activations", "bytes", tokens, ("hidden", shape.hidden_size), kept, ("bytes", value))
    chunk = min(MAX_CHUNK_LOGITS, batch * shape.vocab_size)
    yield product("logits of the update", "bytes", ("logits in a chunk", chunk), ("three in float32", 12))
    if isinstance(config.engine, TransformersEngineConfig):
        yield from _cache(config, config.engine, shape)
    if teacher is not None and isinstance(config.teacher, ModelTeacher):
        yield from _teacher(config.teacher, teacher)


def _teacher(config: ModelTeacher, shape: ModelShape) -> Iterable[Estimate]:
    """What a teacher in the training process holds; one that vLLM serves is elsewhere."""
    if isinstance(config.engine, TransformersEngineConfig):
        stored = ("parameters", size.parameter_count(shape.text))
        yield product("teacher weights", "bytes", stored, ("bytes", held_bytes(config, shape)))
        most = ("teacher.engine.max_batch_tokens", config.engine.max_batch_tokens)
        each = size.cache_bytes_per_token(shape.text, BYTES[config.model.dtype])
        yield product("teacher's key-value cache", "bytes", most, ("bytes a token", each))


def _cache(config: RunConfig, engine: TransformersEngineConfig, shape: TextShape) -> Iterable[Estimate]:
    """What sampling in the training process holds; vLLM's servers take what their GPU leaves them."""
    value = BYTES[config.student.dtype]
    per_token = ("bytes a token", size.cache_bytes_per_token(shape, value))
    yield product("key-value cache", "bytes", ("engine.max_batch_tokens", engine.max_batch_tokens), per_token)
    if (state := size.state_bytes_per_sequence(shape, value)) > 0:
        # A sequence reserves its longest response, and at least one token of prompt.
        together = max(1, engine.max_batch_tokens // (config.sampling.max_response_tokens + 1))
        yield product("recurrent state", "bytes", ("sequences", together), ("bytes a sequence", state))


def disk(config: RunConfig, student: ModelShape, of_round: Work, taught: Work) -> Iterable[Estimate]:
    """What a finished run leaves, before compression."""
    rounds, groups = ("rounds", config.rounds), config.questions_per_round + replayed(config) + helped(config)
    written = ("response tokens", total(of_round.responses))
    read = ("prompt tokens", total(of_round.prompts))
    yield product("rounds: responses", "bytes", rounds, written, ("bytes a token", ROLLOUT_TOKEN_BYTES))
    yield product("rounds: prompts", "bytes", rounds, read, ("bytes a token", PROMPT_TOKEN_BYTES))
    yield product("rounds: groups", "bytes", rounds, ("groups", groups), ("bytes a group", GROUP_BYTES))
    kept = config.checkpoints.keep_last + config.checkpoints.keep_best + 1
    yield product(
        CHECKPOINTS,
        "bytes",
        ("kept, the promoted one included", kept),
        ("weights and moments", 3),
        ("parameters", size.parameter_count(student.text)),
        ("bytes", BYTES[config.student.dtype]),
    )
    for what, drawn in (("rounds: teacher responses", "online"), ("teacher pool", "pool")):
        if tokens := taught.response(f"{drawn}: responses"):
            yield product(what, "bytes", ("tokens", tokens), ("bytes of text a token", TEACHER_TOKEN_BYTES))


def held_bytes(config: ModelTeacher, shape: ModelShape) -> float:
    """Bytes of a weight in memory: quantised weights stay as they are stored."""
    return shape.weight_bytes if shape.weight_bytes < BYTES["bfloat16"] else BYTES[config.model.dtype]
