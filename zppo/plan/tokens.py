"""Tokens of a recipe, every response at its limit."""

from collections.abc import Iterable

from schemas.config.data import DataConfig, PocketSource, ReasoningGymSource, SourceConfig
from schemas.config.method import Augmentation, Hint, Reformulation, Replay, WithTeacher
from schemas.config.run import RunConfig
from schemas.config.teacher import ModelTeacher, NoTeacher
from zppo.core.compose import share
from zppo.plan.estimates import Estimate, Factor, product


def train_questions(data: DataConfig) -> int | None:
    """Questions in the train split as far as the recipe says; None where only the data can tell."""
    most = [_most(source) for source in data.sources if source.role == "train"]
    known = [count for count in most if count is not None]
    if len(known) < len(most):
        return data.max_train
    left = max(0, sum(known) - data.validation_questions - data.test_questions)
    return left if data.max_train is None else min(left, data.max_train)


def of_round(config: RunConfig) -> Iterable[Estimate]:
    """Of one round."""
    new, method, limit = config.questions_per_round, config.method, config.sampling
    replayed = share(method.replay_fraction, new) if isinstance(method, Replay) else 0
    questions = ("new + replayed", new + replayed)
    rollouts, response = ("group_size", method.group_size), ("max_response_tokens", limit.max_response_tokens)
    yield _tokens("plain prompts", questions, ("max_prompt_tokens", limit.max_prompt_tokens))
    yield _tokens("plain responses", questions, rollouts, response)
    if isinstance(method, Augmentation):
        prompts = ("prompts", share(method.augment_fraction, new))
        yield _tokens("hard questions' prompts", prompts, _longest(config, method))
        yield _tokens("hard questions' responses", prompts, rollouts, response)
        if isinstance(method, Reformulation) and method.compression.type == "teacher":
            summary = ("compression.max_tokens", method.compression.max_tokens)
            yield _tokens("teacher summaries", prompts, rollouts, summary)


def _longest(config: RunConfig, method: Augmentation) -> Factor:
    """The longest prompt that a hard question can get besides the plain one."""
    prompt = config.sampling.max_prompt_tokens
    if isinstance(method, Reformulation):
        size = prompt + config.method.group_size * method.compression.max_tokens
        return "max_prompt_tokens + group_size * compression.max_tokens", size
    if isinstance(method, Hint):
        return "max_prompt_tokens + max_hint_tokens", prompt + method.max_hint_tokens
    return "max_prompt_tokens", prompt


def of_run(config: RunConfig) -> Iterable[Estimate]:
    """Of everything before, between and after the rounds."""
    teacher, evaluation, method = config.teacher, config.evaluation, config.method
    questions = pool_questions(config)
    if isinstance(teacher, ModelTeacher) and isinstance(method, WithTeacher):
        yield _tokens(
            "teacher pool",
            ("training questions", questions),
            ("visits", teacher.visits),
            ("teacher_group_size", method.teacher_group_size),
            ("max_response_tokens", teacher.max_response_tokens),
        )
    if not isinstance(teacher, NoTeacher) and teacher.only_hard:
        yield _tokens(
            "finding the hard questions",
            ("training questions", questions),
            ("group_size", method.group_size),
            ("max_response_tokens", config.sampling.max_response_tokens),
        )
    yield _tokens(
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
    yield _tokens("evaluation", ("base and best checkpoint", 2), *asked)
    if isinstance(teacher, ModelTeacher) and evaluation.teacher:
        yield _tokens("evaluation of the teacher", *asked)


def pool_questions(config: RunConfig) -> int:
    """Questions that the teacher answers before training: the data's, or those of one pass of the rounds."""
    known = train_questions(config.data)
    return config.rounds * config.questions_per_round if known is None else known


def _test_questions(config: RunConfig) -> int:
    """At most; a source whose size only the data can tell counts as much as the test split."""
    data, limit = config.data, config.evaluation.max_questions
    outside = [_most(source) for source in data.sources if source.role == "evaluate"]
    sizes = [data.test_questions, *(data.test_questions if size is None else size for size in outside)]
    return sum(size if limit is None else min(size, limit) for size in sizes)


def _most(source: SourceConfig) -> int | None:
    """Questions that a source can give, as far as the recipe bounds them."""
    made = source.count if isinstance(source, PocketSource | ReasoningGymSource) else None
    bounds = [bound for bound in (made, source.max_questions) if bound is not None]
    return min(bounds, default=None)


def _tokens(what: str, *factors: Factor) -> Estimate:
    return product(what, "tokens", *factors)
