"""Tokens of a recipe, every response at its limit."""

from collections.abc import Iterable

from schemas.config.data import DataConfig, PocketSource, ReasoningGymSource, SourceConfig
from schemas.config.run import RunConfig
from schemas.config.teacher import ModelTeacher, NoTeacher
from zppo.core.compose import share
from zppo.core.method import Method
from zppo.plan.estimates import Estimate, Factor, product


def train_questions(data: DataConfig) -> int | None:
    """Questions in the train split as far as the recipe says; None where only the data can tell."""
    most = [_most(source) for source in data.sources if source.role == "train"]
    known = [count for count in most if count is not None]
    if len(known) < len(most):
        return data.max_train
    left = max(0, sum(known) - data.validation_questions - data.test_questions)
    return left if data.max_train is None else min(left, data.max_train)


def of_round(config: RunConfig, method: Method) -> Iterable[Estimate]:
    """Of one round."""
    new, group, limit = config.questions_per_round, method.gradient.group_size, config.sampling
    reformulated = share(method.augment_fraction, new)
    prompt, candidate = limit.max_prompt_tokens, method.compression.max_tokens
    questions = ("new + replayed", new + share(method.replay_fraction, new))
    prompts, rollouts = ("prompts", reformulated), ("group_size", group)
    response = ("max_response_tokens", limit.max_response_tokens)
    longest = ("max_prompt_tokens + group_size * compression.max_tokens", prompt + group * candidate)
    yield _tokens("plain prompts", questions, ("max_prompt_tokens", prompt))
    yield _tokens("plain responses", questions, rollouts, response)
    if reformulated:
        yield _tokens("BCQ and NCQ prompts", prompts, longest)
        yield _tokens("BCQ and NCQ responses", prompts, rollouts, response)
    if method.compression.type == "teacher":
        yield _tokens("teacher summaries", prompts, rollouts, ("compression.max_tokens", candidate))


def of_run(config: RunConfig, method: Method) -> Iterable[Estimate]:
    """Of everything before, between and after the rounds."""
    teacher, evaluation = config.teacher, config.evaluation
    questions = pool_questions(config)
    if isinstance(teacher, ModelTeacher) and method.switches.teacher:
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
            ("group_size", method.gradient.group_size),
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
