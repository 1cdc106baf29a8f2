"""What a recipe will cost, by arithmetic alone: no model is loaded, every response is taken at its limit.

The figures are upper bounds; each shows how it was computed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

from schemas.config.data import DataConfig, PocketSource, ReasoningGymSource
from schemas.config.run import RunConfig
from schemas.config.teacher import ModelTeacher, NoTeacher
from zppo.core.compose import share
from zppo.core.method import Method, resolve_method

Unit = Literal["tokens", "bytes", "FLOP", "seconds"]

BYTES = {"float32": 4, "bfloat16": 2}
ROLLOUT_TOKEN_BYTES = 12
"""On disk, before compression: token id, log-probability and about four bytes of text."""
MAX_CHUNK_LOGITS = 2**25
"""Logits of a micro-batch that the learner has alive at a time."""
ACTIVATION_VALUES = 17
"""Values that one layer keeps for the backward pass, per token and hidden unit: 34 bytes at two bytes a
value (Korthikanti et al. 2022, arXiv 2205.05198, equation 2, without the attention matrix)."""


class ModelSize(Protocol):
    """What the estimates need to know of a model."""

    @property
    def parameters(self) -> int:
        """All weights, tied ones once."""
        ...

    @property
    def layers(self) -> int:
        """Transformer blocks."""
        ...

    @property
    def hidden(self) -> int:
        """Width of the residual stream."""
        ...

    @property
    def vocabulary(self) -> int:
        """Rows of the embedding."""
        ...

    def cache_bytes(self, value_bytes: int) -> int:
        """Keys and values of one token in all layers, at so many bytes a value."""
        ...


@dataclass(frozen=True)
class Estimate:
    """One figure and where it comes from."""

    what: str
    value: float
    unit: Unit
    how: str
    """The arithmetic."""


@dataclass(frozen=True)
class Plan:
    """The estimates of one recipe."""

    round_tokens: tuple[Estimate, ...]
    """Of one round."""
    run_tokens: tuple[Estimate, ...]
    """Of everything before, between and after the rounds."""
    memory: tuple[Estimate, ...]
    """Held at the same time in the training process; activations and cache peak in turn."""
    disk: tuple[Estimate, ...]
    compute: tuple[Estimate, ...]
    notes: tuple[str, ...] = ()


def make_plan(
    config: RunConfig, student: ModelSize, teacher: ModelSize | None, flop_per_second: float
) -> Plan:
    """The plan of a recipe.

    Args:
        config: The resolved recipe.
        student: Size of the student.
        teacher: Size of the teacher where it is a model.
        flop_per_second: Sustained speed of the machine.
    """
    method = resolve_method(config.method)
    round_tokens = tuple(_round_tokens(config, method))
    run_tokens = tuple(_run_tokens(config, method))
    compute = tuple(_compute(config, student, teacher, round_tokens, run_tokens))
    total = sum(estimate.value for estimate in compute)
    time = Estimate("time", total / flop_per_second, "seconds", f"{total:.2e} FLOP / {flop_per_second:.2e}/s")
    return Plan(
        round_tokens=round_tokens,
        run_tokens=run_tokens,
        memory=tuple(_memory(config, student, teacher)),
        disk=tuple(_disk(config, student, round_tokens, run_tokens)),
        compute=(*compute, time),
        notes=tuple(_notes(config, method)),
    )


def train_questions(data: DataConfig) -> int | None:
    """Questions in the train split as far as the recipe says; None where only the data can tell."""
    counts = []
    for source in data.sources:
        if source.role == "train":
            made = source.count if isinstance(source, PocketSource | ReasoningGymSource) else None
            limits = [limit for limit in (made, source.max_questions) if limit is not None]
            counts.append(min(limits) if limits else None)
    if None in counts:
        return data.max_train
    held_out = data.validation_questions + data.test_questions
    left = max(0, sum(count for count in counts if count is not None) - held_out)
    return min(left, data.max_train) if data.max_train is not None else left


def _round_tokens(config: RunConfig, method: Method) -> Iterable[Estimate]:
    new, group, limit = config.questions_per_round, method.gradient.group_size, config.sampling
    replayed = share(method.replay_fraction, new)
    reformulated = share(method.augment_fraction, new)
    questions = new + replayed
    yield _product(
        "plain prompts", ("new + replayed", questions), ("max_prompt_tokens", limit.max_prompt_tokens)
    )
    yield _product(
        "plain responses",
        ("new + replayed", questions),
        ("group_size", group),
        ("max_response_tokens", limit.max_response_tokens),
    )
    if reformulated:
        candidates = group * method.compression.max_tokens
        yield _product(
            "BCQ and NCQ prompts",
            ("prompts", reformulated),
            ("max_prompt_tokens + group_size * compression.max_tokens", limit.max_prompt_tokens + candidates),
        )
        yield _product(
            "BCQ and NCQ responses",
            ("prompts", reformulated),
            ("group_size", group),
            ("max_response_tokens", limit.max_response_tokens),
        )
    if method.compression.type == "teacher":
        yield _product(
            "teacher summaries",
            ("prompts", reformulated),
            ("group_size", group),
            ("compression.max_tokens", method.compression.max_tokens),
        )


def _run_tokens(config: RunConfig, method: Method) -> Iterable[Estimate]:
    teacher, evaluation = config.teacher, config.evaluation
    questions = _pool_questions(config)
    if isinstance(teacher, ModelTeacher) and method.switches.teacher:
        yield _product(
            "teacher pool",
            ("training questions", questions),
            ("visits", teacher.visits),
            ("teacher_group_size", method.teacher_group_size),
            ("max_response_tokens", teacher.max_response_tokens),
        )
    if not isinstance(teacher, NoTeacher) and teacher.only_hard:
        yield _product(
            "finding the hard questions",
            ("training questions", questions),
            ("group_size", method.gradient.group_size),
            ("max_response_tokens", config.sampling.max_response_tokens),
        )
    yield _product(
        "validation",
        ("checkpoints", -(-config.rounds // config.checkpoints.every)),
        ("questions", config.validation.max_questions),
        ("samples", config.validation.samples),
        ("max_response_tokens", evaluation.decoding.max_response_tokens),
    )
    asked = (
        ("questions", _test_questions(config)),
        ("samples", evaluation.samples),
        ("max_response_tokens", evaluation.decoding.max_response_tokens),
    )
    yield _product("evaluation", ("base and best checkpoint", 2), *asked)
    if isinstance(teacher, ModelTeacher) and evaluation.teacher:
        yield _product("evaluation of the teacher", *asked)


def _memory(config: RunConfig, student: ModelSize, teacher: ModelSize | None) -> Iterable[Estimate]:
    size, batch = BYTES[config.student.dtype], config.learner.max_batch_tokens
    yield _bytes("student weights", ("parameters", student.parameters), ("bytes", size))
    yield _bytes("gradients", ("parameters", student.parameters), ("bytes", size))
    yield _bytes("optimizer (AdamW)", ("moments", 2), ("parameters", student.parameters), ("bytes", size))
    layers, width = student.layers, ("hidden", student.hidden)
    if config.learner.gradient_checkpointing:
        # The input of every layer is kept, and one layer at a time has everything.
        kept = ("layers + values in one layer", layers + ACTIVATION_VALUES)
    else:
        kept = ("layers * values in a layer", layers * ACTIVATION_VALUES)
    yield _bytes("activations", ("learner.max_batch_tokens", batch), width, kept, ("bytes", size))
    chunk = min(MAX_CHUNK_LOGITS, batch * student.vocabulary)
    yield _bytes("logits of the update", ("logits in a chunk", chunk), ("float32 and two copies", 12))
    cached = config.engine.max_batch_tokens
    yield _bytes(
        "key-value cache", ("engine.max_batch_tokens", cached), ("bytes a token", student.cache_bytes(size))
    )
    if teacher is not None and isinstance(config.teacher, ModelTeacher):
        teacher_size = BYTES[config.teacher.model.dtype]
        yield _bytes("teacher weights", ("parameters", teacher.parameters), ("bytes", teacher_size))


def _disk(
    config: RunConfig, student: ModelSize, round_tokens: Iterable[Estimate], run_tokens: Iterable[Estimate]
) -> Iterable[Estimate]:
    responses = sum(item.value for item in round_tokens if item.what.endswith("responses"))
    yield _bytes(
        "rounds",
        ("rounds", config.rounds),
        ("response tokens", responses),
        ("bytes a token", ROLLOUT_TOKEN_BYTES),
    )
    kept = config.checkpoints.keep_last + config.checkpoints.keep_best + 1
    yield _bytes(
        "checkpoints",
        ("kept, the promoted one included", kept),
        ("weights and moments", 3),
        ("parameters", student.parameters),
        ("bytes", BYTES[config.student.dtype]),
    )
    pool = sum(item.value for item in run_tokens if item.what == "teacher pool")
    if pool:
        yield _bytes("teacher pool", ("tokens", pool), ("bytes of text a token", 4))


def _compute(
    config: RunConfig,
    student: ModelSize,
    teacher: ModelSize | None,
    round_tokens: Iterable[Estimate],
    run_tokens: Iterable[Estimate],
) -> Iterable[Estimate]:
    """Two FLOP for each parameter and token forward, twice that backward."""
    tokens = {estimate.what: estimate.value for estimate in (*round_tokens, *run_tokens)}
    prompts = sum(value for what, value in tokens.items() if what.endswith("prompts"))
    responses = sum(value for what, value in tokens.items() if what.endswith("responses"))
    rounds = ("rounds", config.rounds)
    per_token = ("FLOP a token", 2 * student.parameters)
    # A group shares its prompt when it is sampled; each of its rollouts has it in the update.
    yield _flop("student rollouts", rounds, ("tokens a round", prompts + responses), per_token)
    rows = config.method.group_size * prompts + responses
    passes = 8 if config.learner.gradient_checkpointing else 6
    update = ("FLOP a token", passes * student.parameters)
    yield _flop("updates", rounds, ("tokens a round", rows), update)
    held_out = tokens["validation"] + tokens["evaluation"]
    yield _flop("validation and evaluation", ("tokens", held_out), per_token)
    if "finding the hard questions" in tokens:
        yield _flop("finding the hard questions", ("tokens", tokens["finding the hard questions"]), per_token)
    if teacher is not None:
        asked = tokens.get("teacher pool", 0) + tokens.get("evaluation of the teacher", 0)
        asked += config.rounds * tokens.get("teacher summaries", 0)
        yield _flop("teacher", ("tokens", asked), ("FLOP a token", 2 * teacher.parameters))


def _notes(config: RunConfig, method: Method) -> Iterable[str]:
    if train_questions(config.data) is None:
        yield (
            "The recipe does not say how many training questions the data has: one pass of the rounds, "
            f"{_pool_questions(config):,}, is assumed."
        )
    teacher = config.teacher
    if isinstance(teacher, ModelTeacher) and method.switches.teacher:
        if teacher.only_hard:
            yield "teacher.only_hard: the pool above is the most; it shrinks to the share of hard questions."
        else:
            pool = teacher.visits * method.teacher_group_size * teacher.max_response_tokens
            base = method.gradient.group_size * config.sampling.max_response_tokens
            yield (
                "teacher.only_hard would save the pool's tokens for every easy question "
                f"({pool:,} at most) at {base:,} student tokens a question."
            )


def _pool_questions(config: RunConfig) -> int:
    known = train_questions(config.data)
    return config.rounds * config.questions_per_round if known is None else known


def _test_questions(config: RunConfig) -> int:
    """At most; a source whose size only the data can tell counts as much as the test split."""
    data, limit = config.data, config.evaluation.max_questions
    sizes = [data.test_questions]
    for source in data.sources:
        if source.role == "evaluate":
            made = source.count if isinstance(source, PocketSource | ReasoningGymSource) else None
            sizes.append(source.max_questions or made or data.test_questions)
    return sum(size if limit is None else min(size, limit) for size in sizes)


def _product(what: str, *factors: tuple[str, float], unit: Unit = "tokens") -> Estimate:
    value = 1.0
    for _, factor in factors:
        value *= factor
    return Estimate(what, value, unit, " * ".join(f"{factor:,.0f} ({name})" for name, factor in factors))


def _bytes(what: str, *factors: tuple[str, float]) -> Estimate:
    return _product(what, *factors, unit="bytes")


def _flop(what: str, *factors: tuple[str, float]) -> Estimate:
    return _product(what, *factors, unit="FLOP")
