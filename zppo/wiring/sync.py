"""Whether a learner's weights can get to the student's servers as the machine file says."""

from schemas.config.learner import FsdpLearnerConfig, TorchLearnerConfig
from schemas.config.machine import ManagedServers
from schemas.config.models import VllmEngineConfig
from schemas.config.run import RunConfig, Runtime
from zppo.engines.vllm.launch import ADAPTER_RANKS
from zppo.errors import InputError
from zppo.models.loading import pick_device

_DISK = "set vllm.student.weight_sync to disk in the machine file"


def check_weight_sync(config: RunConfig, runtime: Runtime) -> None:
    """Refuse a recipe whose learner cannot send weights as this machine says, before any work.

    Raises:
        InputError: As said.
    """
    servers = runtime.vllm.student
    if not isinstance(config.engine, VllmEngineConfig) or not isinstance(servers, ManagedServers):
        return
    problem = None
    match servers.weight_sync:
        case "nccl":
            problem = _over_nccl(config, runtime)
        case "adapter":
            problem = _as_adapters(config)
    if problem:
        raise InputError(f"vllm.student.weight_sync is {servers.weight_sync}, {problem}")


def _over_nccl(config: RunConfig, runtime: Runtime) -> str | None:
    if isinstance(config.learner, FsdpLearnerConfig):
        return (
            "which sends the weights of a learner in one process, but learner.type is 'fsdp', whose ranks "
            f"have communicators of their own on the same GPUs: {_DISK}"
        )
    device = pick_device(runtime.device)
    if device.type != "cuda":
        return f"which goes from GPU to GPU, but the learner is on {str(device)!r}: {_DISK}"
    return None


def _as_adapters(config: RunConfig) -> str | None:
    lora = config.learner.lora if isinstance(config.learner, TorchLearnerConfig) else None
    if lora is None:
        return f"but the recipe trains no adapters (learner.lora): {_DISK}"
    if lora.rank > ADAPTER_RANKS[-1]:
        return f"but vLLM takes adapters up to rank {ADAPTER_RANKS[-1]}, not {lora.rank}: {_DISK}"
    return None
