"""Whether a recipe's models fit the devices that a machine file gives them."""

from collections.abc import Iterable, Sequence

from schemas.config.machine import ManagedServers, VllmServers
from schemas.config.models import VllmEngineConfig
from zppo.plan.estimates import Estimate, total
from zppo.plan.hardware import devices_of_replica, replicas
from zppo.plan.samplers import RUNTIME_BYTES, Sampler

_RESTING = ("student weights", "optimizer (AdamW)", "teacher weights")
"""Parts of the training process's memory that stay while servers sample."""


def verdicts(process: Sequence[Estimate], student: Sampler, teacher: Sampler | None) -> Iterable[str]:
    """What the learner's device and each server must hold, against what they have; nothing if not known.

    Args:
        process: Parts of the training process's memory.
        student: The student's sampler.
        teacher: The teacher's.
    """
    have = student.memory_bytes
    if have is None:
        return
    beside = _on_learners_device(student, have)
    always = 0.0 if teacher is None else _on_learners_device(teacher, have)
    working = total(process) + RUNTIME_BYTES + always + (0.0 if _sleeps(student.servers) else beside)
    yield _verdict("the learner's device, updating", working, have)
    if beside:
        resting = total(part for part in process if part.what in _RESTING) + RUNTIME_BYTES
        yield _verdict("the learner's device, sampling", resting + always + beside, have)
    for sampler in (student, teacher):
        if sampler is not None and isinstance(sampler.engine, VllmEngineConfig):
            yield _server(sampler, sampler.engine)


def _server(sampler: Sampler, engine: VllmEngineConfig) -> str:
    room = sampler.room
    assert room is not None, "the memory is known here"
    count = int(room // sampler.sequence_bytes)
    holds = f"weights and {count:,} sequences at their limits" if count else "DOES NOT FIT one sequence"
    width = devices_of_replica(sampler.servers)
    where = f"{replicas(sampler.servers)} of {width} device{'' if width == 1 else 's'}"
    return f"{sampler.who} servers ({where}), {engine.gpu_memory_fraction:.0%} of the memory: {holds}"


def _on_learners_device(sampler: Sampler, have: float) -> float:
    """What a model's servers take of the learner's device, taken to be the first one."""
    if not isinstance(sampler.engine, VllmEngineConfig) or not isinstance(sampler.servers, ManagedServers):
        return 0.0
    shared = not sampler.servers.devices or 0 in sampler.servers.devices
    return sampler.engine.gpu_memory_fraction * have if shared else 0.0


def _sleeps(servers: VllmServers) -> bool:
    return isinstance(servers, ManagedServers) and servers.colocated


def _verdict(where: str, need: float, have: float) -> str:
    verdict = "fits" if need <= have else "DOES NOT FIT"
    return f"{where}: {need / 1e9:.1f} GB of {have / 1e9:.1f} GB: {verdict}"
