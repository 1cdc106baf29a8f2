"""What samples from a model: its engine, its cache, and how many sequences it decodes together."""

from collections.abc import Iterable
from dataclasses import dataclass

from schemas.config.machine import VllmServers
from schemas.config.models import EngineConfig, VllmEngineConfig
from schemas.config.run import RunConfig
from schemas.config.teacher import ModelTeacher
from zppo.models import size
from zppo.models.shapes import ModelShape
from zppo.plan.estimates import Estimate, product
from zppo.plan.hardware import Hardware, devices_of_replica
from zppo.plan.lengths import Lengths
from zppo.plan.resources import BYTES, held_bytes

RUNTIME_BYTES = 2e9
"""Of a device, for the context, kernels and buffers of each process on it: about so much."""


@dataclass(frozen=True)
class Sampler:
    """A model behind its engine."""

    who: str
    shape: ModelShape
    engine: EngineConfig
    servers: VllmServers
    """Where vLLM serves it, if vLLM does."""
    value_bytes: float
    """Of a value in the key-value cache."""
    weight_bytes: float
    prompt: float
    """Tokens, expected; as is the next."""
    response: float
    longest: int
    """Tokens of prompt and response at their limits."""
    memory_bytes: float | None
    """Of a device."""

    @property
    def sequence_bytes(self) -> float:
        """Cache of one sequence at its limits."""
        return self._cache(self.longest)

    @property
    def room(self) -> float | None:
        """Bytes that a server's share leaves beside the weights; None where that is not known."""
        if self.memory_bytes is None or not isinstance(self.engine, VllmEngineConfig):
            return None
        share = self.engine.gpu_memory_fraction * self.memory_bytes - RUNTIME_BYTES
        weights = size.parameter_count(self.shape.text) * self.weight_bytes
        return max(0.0, devices_of_replica(self.servers) * share - weights)

    @property
    def together(self) -> int:
        """Sequences that it decodes together: in vLLM as many of the expected length as have room."""
        if not isinstance(self.engine, VllmEngineConfig):
            # Each reserves its longest response.
            return max(1, self.engine.max_batch_tokens // self.longest)
        if self.room is None:
            return self.engine.max_sequences
        fitting = int(self.room // self._cache(self.prompt + self.response))
        return max(1, min(self.engine.max_sequences, fitting))

    def memory(self) -> Iterable[Estimate]:
        """Of one vLLM server: its copy of the weights, and the cache of what it decodes together."""
        if not isinstance(self.engine, VllmEngineConfig):
            return
        what = f"{self.who} server"
        weights = (("parameters", size.parameter_count(self.shape.text)), ("bytes", self.weight_bytes))
        yield product(f"{what}: weights", "bytes", *weights)
        sequences = ("sequences together", self.together)
        kept = ("bytes a token", size.cache_bytes_per_token(self.shape.text, self.value_bytes))
        tokens = ("tokens", self.prompt + self.response)
        yield product(f"{what}: key-value cache", "bytes", sequences, tokens, kept)
        if state := size.state_bytes_per_sequence(self.shape.text, self.value_bytes):
            yield product(f"{what}: recurrent state", "bytes", sequences, ("bytes a sequence", state))

    def traffic(self, what: str, responses: float) -> Estimate:
        """Bytes read to write so many tokens: the weights once a step, the cache of every sequence."""
        weights = self.weight_bytes * size.parameter_count(self.shape.text) / self.together
        context = self.prompt + self.response / 2
        cache = size.cache_bytes_per_token(self.shape.text, self.value_bytes) * context
        # A recurrent state is read and written.
        state = 2 * size.state_bytes_per_sequence(self.shape.text, self.value_bytes)
        name = f"bytes a token: weights / {self.together:,} sequences + cache + state"
        return product(what, "bytes", ("response tokens", responses), (name, weights + cache + state))

    def _cache(self, tokens: float) -> float:
        cache = size.cache_bytes_per_token(self.shape.text, self.value_bytes) * tokens
        return cache + size.state_bytes_per_sequence(self.shape.text, self.value_bytes)


def student_sampler(config: RunConfig, shape: ModelShape, lengths: Lengths, hardware: Hardware) -> Sampler:
    """The student's."""
    value = BYTES[config.student.dtype]
    return Sampler(
        who="student",
        shape=shape,
        engine=config.engine,
        servers=hardware.vllm.student,
        value_bytes=value,
        weight_bytes=value,
        prompt=lengths.prompt[1],
        response=lengths.response[1],
        longest=config.sampling.max_prompt_tokens + config.sampling.max_response_tokens,
        memory_bytes=hardware.memory_bytes,
    )


def teacher_sampler(
    config: RunConfig, shape: ModelShape | None, lengths: Lengths, hardware: Hardware
) -> Sampler | None:
    """The teacher's; None where it is not a model of known shape."""
    teacher = config.teacher
    if shape is None or not isinstance(teacher, ModelTeacher):
        return None
    return Sampler(
        who="teacher",
        shape=shape,
        engine=teacher.engine,
        servers=hardware.vllm.teacher,
        value_bytes=BYTES[teacher.model.dtype],
        weight_bytes=held_bytes(teacher, shape),
        prompt=lengths.prompt[1],
        response=lengths.teacher[1],
        longest=config.sampling.max_prompt_tokens + teacher.max_response_tokens,
        memory_bytes=hardware.memory_bytes,
    )
