"""What a recipe will cost, by arithmetic alone: no model is loaded, every response is taken at its limit.

The figures are upper bounds; each shows how it was computed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from schemas.config.method import WithTeacher
from schemas.config.models import ModelConfig
from schemas.config.run import RunConfig
from schemas.config.teacher import ModelTeacher
from zppo.models.shapes import ModelShape, committed_shape, directory_shape
from zppo.plan import resources, tokens
from zppo.plan.estimates import Estimate


@dataclass(frozen=True)
class Plan:
    """The estimates of one recipe."""

    round_tokens: tuple[Estimate, ...]
    """Of one round."""
    run_tokens: tuple[Estimate, ...]
    """Of everything before, between and after the rounds."""
    memory: tuple[Estimate, ...] = ()
    """Held at the same time in the training process; activations and cache peak in turn."""
    disk: tuple[Estimate, ...] = ()
    compute: tuple[Estimate, ...] = ()
    notes: tuple[str, ...] = ()


def find_shape(config: ModelConfig) -> ModelShape | None:
    """The shape of a recipe's model from files on this machine; None where there is none."""
    inside = config.model.startswith("pocket/")
    directory = Path(__file__).parents[1] / config.model if inside else Path(config.model).expanduser()
    return directory_shape(directory) if directory.is_dir() else committed_shape(config.model)


def make_plan(
    config: RunConfig, student: ModelShape | None, teacher: ModelShape | None, flop_per_second: float
) -> Plan:
    """The plan of a recipe.

    Args:
        config: The resolved recipe.
        student: Shape of the student; without it only tokens are estimated.
        teacher: Shape of the teacher where it is a model and its shape is known.
        flop_per_second: Sustained speed of the machine.
    """
    of_round = tuple(tokens.of_round(config))
    of_run = tuple(tokens.of_run(config))
    notes = tuple(_notes(config, student, teacher))
    if student is None:
        return Plan(of_round, of_run, notes=notes)
    work = tuple(resources.compute(config, student, teacher, of_round, of_run))
    return Plan(
        round_tokens=of_round,
        run_tokens=of_run,
        memory=tuple(resources.memory(config, student, teacher)),
        disk=tuple(resources.disk(config, student, of_round, of_run)),
        compute=(*work, _time(work, flop_per_second)),
        notes=notes,
    )


def _time(work: Sequence[Estimate], flop_per_second: float) -> Estimate:
    total = sum(estimate.value for estimate in work)
    how = f"{total:.2e} FLOP / {flop_per_second:.2e} FLOP/s"
    return Estimate("time", total / flop_per_second, "seconds", how)


def _notes(config: RunConfig, student: ModelShape | None, teacher: ModelShape | None) -> Iterable[str]:
    if student is None:
        yield (
            f"The shape of {config.student.model} is not known without the network, so memory, disk and "
            "compute are left out; name a local directory to see them."
        )
    if teacher is None and isinstance(config.teacher, ModelTeacher):
        yield (
            f"The shape of {config.teacher.model.model} is not known without the network: the teacher's "
            "memory and compute are left out."
        )
    if tokens.train_questions(config.data) is None:
        yield (
            "The recipe does not say how many training questions the data has: one pass of the rounds, "
            f"{tokens.pool_questions(config):,}, is assumed."
        )
    pooled, method = config.teacher, config.method
    if isinstance(pooled, ModelTeacher) and isinstance(method, WithTeacher):
        if pooled.only_hard:
            yield "teacher.only_hard: the pool above is the most; it shrinks to the share of hard questions."
        else:
            pool = pooled.visits * method.teacher_group_size * pooled.max_response_tokens
            base = method.group_size * config.sampling.max_response_tokens
            yield (
                "teacher.only_hard would save the pool's tokens for every easy question "
                f"({pool:,} at most) at {base:,} student tokens a question."
            )
