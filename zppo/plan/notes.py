"""What a plan cannot know, and what would make a run cheaper."""

from collections.abc import Iterable

from schemas.config.learner import FsdpLearnerConfig, TorchLearnerConfig
from schemas.config.method import WithTeacher
from schemas.config.run import RunConfig
from schemas.config.teacher import EndpointTeacher, ModelTeacher
from zppo.models.shapes import ModelShape
from zppo.plan import tokens


def notes(config: RunConfig, student: ModelShape | None, teacher: ModelShape | None) -> Iterable[str]:
    """A sentence each."""
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
    if isinstance(config.learner, TorchLearnerConfig) and config.learner.lora is not None:
        yield "learner.lora: gradients and optimizer are those of the adapters, far less than shown."
    if isinstance(config.learner, FsdpLearnerConfig):
        yield (
            f"learner.processes {config.learner.processes}: each holds its part of weights, gradients and "
            "optimizer, and activations and logits of its own; the training process holds the weights once "
            "more, for the sampler."
        )
    if tokens.train_questions(config.data) is None:
        yield (
            "The recipe does not say how many training questions the data has: one pass of the rounds, "
            f"{tokens.pool_questions(config):,}, is assumed."
        )
    if isinstance(config.teacher, EndpointTeacher) and config.teacher.prices is None:
        yield "teacher.prices are not given, so what the endpoint charges is left out."
    yield from _only_hard(config)


def _only_hard(config: RunConfig) -> Iterable[str]:
    writer, method = config.teacher, config.method
    if not isinstance(writer, ModelTeacher | EndpointTeacher) or not isinstance(method, WithTeacher):
        return
    if writer.only_hard:
        yield "teacher.only_hard: the pool above is the most; it shrinks to the share of hard questions."
    elif writer.visits:
        pool = writer.visits * method.teacher_group_size * writer.max_response_tokens
        base = method.group_size * config.sampling.max_response_tokens
        yield (
            "teacher.only_hard would save the pool's tokens for every easy question "
            f"({pool:,} at most) at {base:,} student tokens a question."
        )
