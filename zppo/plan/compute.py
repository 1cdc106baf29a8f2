"""Floating-point operations of a recipe: 2 x parameters x tokens forwards, 3 times that in training."""

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.config.grader import TeacherJudge
from schemas.config.method import OffPolicy, OnPolicy
from schemas.config.run import RunConfig
from zppo.models import size
from zppo.models.shapes import ModelShape
from zppo.plan.estimates import Estimate, Factor, Work, product, total
from zppo.plan.lengths import Lengths
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


def student_compute(
    config: RunConfig, shape: ModelShape, tokens: Tokens, lengths: Lengths
) -> tuple[Estimate, ...]:
    """Of the rollouts, of the updates, and of validation and evaluation."""
    rounds = ("rounds", config.rounds)
    group, response = config.method.group_size, lengths.response[1]
    sequences = total(tokens.round.responses) / response
    prompt = group * total(tokens.round.prompts) / sequences
    context = ("mean context", prompt + response / 2)
    drawn = (rounds, ("tokens a round", tokens.round.tokens))
    rollouts = _forward(ROLLOUTS, shape, drawn, context)
    # A group shares its prompt when it is sampled; each of its rollouts has it in the update.
    rows = group * total(tokens.round.prompts) + total(tokens.round.responses)
    passes = ("forward passes' worth", 4 if config.learner.gradient_checkpointing else 3)
    half = ("mean context", (prompt + response) / 2)
    updates = _forward(UPDATES, shape, (rounds, ("tokens a round", rows), passes), half)
    besides = ("mean context", lengths.prompt[1] + lengths.evaluation[1] / 2)
    held_out = _forward(HELD_OUT, shape, (("tokens", tokens.run.tokens),), besides)
    return (*rollouts, *updates, *held_out)


def teacher_compute(
    config: RunConfig, shape: ModelShape, tokens: Tokens, lengths: Lengths
) -> tuple[Estimate, ...]:
    """Of the teacher, as the judge too where it is that."""
    read = written(config, tokens).tokens
    if isinstance(config.method, OffPolicy | OnPolicy):
        rows = config.method.group_size * total(tokens.round.prompts) + total(tokens.round.responses)
        read += config.rounds * rows
    context = ("mean context", lengths.prompt[1] + lengths.teacher[1] / 2)
    return _forward(TEACHER, shape, (("tokens", read),), context)


def written(config: RunConfig, tokens: Tokens) -> Work:
    """By the teacher's model, verdicts included where it is the judge."""
    return tokens.teacher + (tokens.judge if isinstance(config.judge, TeacherJudge) else Work())


def _forward(
    what: str, shape: ModelShape, tokens: Sequence[Factor], context: Factor
) -> tuple[Estimate, Estimate]:
    linear = ("2 * parameters", size.forward_flops(shape.text))
    attention = ("4 * heads * head size * attention layers", size.attention_flops(shape.text))
    return (
        product(what, "FLOP", *tokens, linear),
        product(f"{what}: attention", "FLOP", *tokens, context, attention),
    )
