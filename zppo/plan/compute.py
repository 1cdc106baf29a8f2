"""Floating-point operations of a recipe: 2 x weights x tokens forwards, 3 times that in training."""

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.config.grader import TeacherJudge
from schemas.config.method import OffPolicy, OnPolicy
from schemas.config.run import RunConfig
from zppo.models import size
from zppo.models.shapes import ModelShape, TextShape
from zppo.plan.estimates import Estimate, Factor, Work, product, total
from zppo.plan.lengths import Lengths
from zppo.plan.packs import update_reading
from zppo.plan.timing import HELD_OUT, ROLLOUTS, TEACHER, UPDATES


@dataclass(frozen=True)
class Tokens:
    """All that is read and written."""

    round: Work
    """By the student in one round."""
    run: Work
    """By the student besides the rounds."""
    teacher: Work
    """In the whole run, as for the judge."""
    judge: Work


@dataclass(frozen=True)
class Passed:
    """Tokens that pass through a model."""

    tokens: float
    scored: float
    """Those that pass the output layer as well."""
    context: float
    """Tokens that one attends to in the mean."""
    name: str = "tokens"


def student_compute(
    config: RunConfig,
    shape: ModelShape,
    tokens: Tokens,
    lengths: Lengths,
    readers: Sequence[TextShape],
) -> tuple[Estimate, ...]:
    """Of the rollouts, of the updates, and of validation and evaluation.

    Args:
        config: The recipe.
        shape: The student's.
        tokens: All of them.
        lengths: What to count with.
        readers: The models that read the rows of an update.
    """
    rounds = ("rounds", config.rounds)
    group, response = config.method.group_size, lengths.response[1]
    sequences = total(tokens.round.responses) / response
    prompt = group * total(tokens.round.prompts) / sequences
    drawn = Passed(
        tokens.round.tokens, total(tokens.round.responses), prompt + response / 2, "tokens a round"
    )
    read = update_reading(config, lengths, readers)
    learnt = Passed(read.tokens, total(tokens.round.responses), read.context, "tokens a round")
    active = ("share of groups with a gradient", lengths.spread)
    passes = ("forward passes' worth", 4 if config.learner.gradient_checkpointing else 3)
    context = lengths.prompt[1] + lengths.evaluation[1] / 2
    besides = Passed(tokens.run.tokens, total(tokens.run.responses), context)
    return (
        *_forward(ROLLOUTS, shape, drawn, rounds),
        *_forward(UPDATES, shape, learnt, rounds, active, passes),
        *_forward(HELD_OUT, shape, besides),
    )


def teacher_compute(
    config: RunConfig,
    shape: ModelShape,
    tokens: Tokens,
    lengths: Lengths,
    readers: Sequence[TextShape],
) -> tuple[Estimate, ...]:
    """Of the teacher, as the judge too where it is that; the arguments are those of `student_compute`."""
    work = written(config, tokens)
    read, scored = work.tokens, total(work.responses)
    if distils(config):
        read += config.rounds * update_reading(config, lengths, readers).tokens
        scored += config.rounds * total(tokens.round.responses)
    return _forward(TEACHER, shape, Passed(read, scored, lengths.prompt[1] + lengths.teacher[1] / 2))


def distils(config: RunConfig) -> bool:
    """Whether the teacher reads the rows of the updates, too."""
    return isinstance(config.method, OffPolicy | OnPolicy)


def written(config: RunConfig, tokens: Tokens) -> Work:
    """By the teacher's model, verdicts included where it is the judge."""
    return tokens.teacher + (tokens.judge if isinstance(config.judge, TeacherJudge) else Work())


def _forward(what: str, shape: ModelShape, passed: Passed, *factors: Factor) -> tuple[Estimate, ...]:
    layers = ("2 * weights of the layers", size.layer_flops(shape.text))
    attention = ("4 * heads * head size * attention layers", size.attention_flops(shape.text))
    head = ("2 * vocabulary * hidden", size.head_flops(shape.text))
    tokens, context = (passed.name, passed.tokens), ("mean context", passed.context)
    scored = (f"response {passed.name}", passed.scored)
    return (
        product(what, "FLOP", *factors, tokens, layers),
        product(f"{what}: attention", "FLOP", *factors, tokens, context, attention),
        product(f"{what}: output layer", "FLOP", *factors, scored, head),
    )
