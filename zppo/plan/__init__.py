"""What a recipe will cost, by arithmetic alone: no model is loaded.

Every response is taken at its limit, unless the user says how long they are expected to be: then tokens,
disk, compute, time and money are expectations, and memory still is a bound. Each figure shows its arithmetic.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from schemas.config.models import ModelConfig
from schemas.config.run import RunConfig
from zppo.models.shapes import ModelShape, committed_shape, directory_shape
from zppo.plan import resources, timing, tokens, writers
from zppo.plan.compute import Tokens
from zppo.plan.estimates import Estimate
from zppo.plan.fitting import verdicts
from zppo.plan.hardware import Hardware
from zppo.plan.lengths import Expected, Lengths, find_lengths
from zppo.plan.load import make_load
from zppo.plan.notes import notes
from zppo.plan.samplers import student_sampler, teacher_sampler


@dataclass(frozen=True)
class Plan:
    """The estimates of one recipe."""

    round_tokens: tuple[Estimate, ...]
    """The student's, of one round."""
    run_tokens: tuple[Estimate, ...]
    """The student's, of everything before, between and after the rounds."""
    teacher_tokens: tuple[Estimate, ...] = ()
    """Of the whole run, as for the judge."""
    judge_tokens: tuple[Estimate, ...] = ()
    memory: tuple[Estimate, ...] = ()
    """Held at the same time in the training process; activations and cache peak in turn."""
    server_memory: tuple[Estimate, ...] = ()
    """Of each vLLM server."""
    disk: tuple[Estimate, ...] = ()
    compute: tuple[Estimate, ...] = ()
    traffic: tuple[Estimate, ...] = ()
    """Read from memory to sample, where its bandwidth is known."""
    time: tuple[Estimate, ...] = ()
    money: tuple[Estimate, ...] = ()
    fits: tuple[str, ...] = ()
    """Verdicts on each device, where its memory is known."""
    notes: tuple[str, ...] = ()


def find_shape(config: ModelConfig) -> ModelShape | None:
    """The shape of a recipe's model from files on this machine; None where there is none."""
    inside = config.model.startswith("pocket/")
    directory = Path(__file__).parents[1] / config.model if inside else Path(config.model).expanduser()
    return directory_shape(directory) if directory.is_dir() else committed_shape(config.model)


def make_plan(
    config: RunConfig,
    student: ModelShape | None,
    teacher: ModelShape | None,
    hardware: Hardware | None = None,
    expected: Expected | None = None,
) -> Plan:
    """The plan of a recipe.

    Args:
        config: The resolved recipe.
        student: Shape of the student; without it only tokens and the endpoints' charges are estimated.
        teacher: Shape of the teacher where it is a model and its shape is known.
        hardware: What it is to run on; one slow device of unknown memory where it is not said.
        expected: Mean lengths in place of the limits.
    """
    lengths = find_lengths(config, expected or Expected())
    of_round, of_run = tokens.of_round(config, lengths), tokens.of_run(config, lengths)
    taught = writers.teacher(config, lengths)
    judged = writers.judge(config, lengths, of_run, taught)
    charged = tuple(writers.money(config, taught, judged))
    said = tuple(notes(config, student, teacher))
    plan = Plan(of_round.lines, of_run.lines, taught.lines, judged.lines, money=charged, notes=said)
    if student is None:
        return plan
    work = Tokens(of_round, of_run, taught, judged)
    return _with_resources(plan, config, student, teacher, work, lengths, hardware or Hardware())


def _with_resources(
    plan: Plan,
    config: RunConfig,
    student: ModelShape,
    teacher: ModelShape | None,
    work: Tokens,
    lengths: Lengths,
    hardware: Hardware,
) -> Plan:
    """The plan with what needs the models' shapes."""
    samplers = (
        student_sampler(config, student, lengths, hardware),
        teacher_sampler(config, teacher, lengths, hardware),
    )
    served = (sampler for sampler in samplers if sampler is not None)
    memory = tuple(resources.memory(config, student, teacher))
    load = make_load(config, *samplers, work, lengths)
    seconds = tuple(timing.times(load.phases(hardware), hardware))
    return replace(
        plan,
        memory=memory,
        server_memory=tuple(part for sampler in served for part in sampler.memory()),
        disk=tuple(resources.disk(config, student, work.round, work.teacher)),
        compute=load.compute,
        traffic=load.traffic if hardware.bytes_per_second is not None else (),
        time=seconds,
        money=(*timing.price(seconds, hardware), *plan.money),
        fits=tuple(verdicts(memory, *samplers)),
    )
