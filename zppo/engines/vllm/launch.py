"""How a managed server is started: its command line and its environment."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from schemas.config.machine import ManagedServers
from schemas.config.models import VllmEngineConfig

SERVED_NAME = "zppo"
_NOT_PASSED_ON = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "VLLM_API_KEY")
"""Of this process's environment: it is another one's interpreter, and nobody sends a key."""


@dataclass(frozen=True)
class Launch:
    """What the command lines of a model's servers are made of."""

    checkpoint: Path
    dtype: str
    trust_remote_code: bool
    engine: VllmEngineConfig
    servers: ManagedServers
    device: str
    """Of the learner: `cpu`, `cuda` or `cuda:N`."""
    threads: int = 1
    """Of a server on the CPU."""
    adapter_rank: int = 0
    """Of the adapters that it is to take; 0: none."""

    def command(self, replica: int) -> list[str]:
        """Program and arguments, without the port."""
        engine, devices = self.engine, self._devices(replica)
        # The module: the program `vllm` does not start under the distribution for CPUs.
        return [
            str(self.servers.python.absolute()),
            *("-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1"),
            *("--model", str(self.checkpoint), "--served-model-name", SERVED_NAME),
            *("--dtype", self.dtype, "--generation-config", "vllm"),
            # At the sampling temperature; without it they would be those at temperature 1.
            *("--logprobs-mode", "processed_logprobs"),
            *("--enable-prefix-caching", "--max-num-seqs", str(engine.max_sequences)),
            *([] if engine.max_model_len is None else ["--max-model-len", str(engine.max_model_len)]),
            *(["--trust-remote-code"] if self.trust_remote_code else []),
            *(_ON_CPU if self._on_cpu else self._on_gpu(devices)),
            *(_OVER_NCCL if self.servers.weight_sync == "nccl" else []),
            *(_with_adapter(self.adapter_rank) if self.adapter_rank else []),
            *(["--enable-sleep-mode"] if self.servers.colocated and not self._on_cpu else []),
            *("--disable-uvicorn-access-log", "--no-log-error-stack"),
            *self.servers.arguments,
        ]

    def environment(self, replica: int) -> dict[str, str]:
        """All variables of a server's process."""
        kept = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON}
        settings = {
            "VLLM_SERVER_DEV_MODE": "1",  # it takes new weights
            "VLLM_NO_USAGE_STATS": "1",
            "DO_NOT_TRACK": "1",
            "HF_HUB_OFFLINE": "1",  # the checkpoint is a directory
        }
        if self.adapter_rank:
            settings["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = "True"
        if self._on_cpu:
            settings |= {
                "OMP_NUM_THREADS": str(self.threads),
                "VLLM_CPU_OMP_THREADS_BIND": "nobind",
                "VLLM_CPU_KVCACHE_SPACE": str(self.servers.cpu_cache_gib),
                # Compiling takes longer than most runs on a CPU.
                "TORCHDYNAMO_DISABLE": "1",
            }
        elif devices := self._devices(replica):
            settings["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, devices))
        return kept | settings

    @property
    def _on_cpu(self) -> bool:
        return self.device == "cpu" and not self.servers.devices

    def _devices(self, replica: int) -> Sequence[int]:
        """CUDA devices of a replica; none: all that this process sees."""
        share = len(self.servers.devices) // self.servers.replicas
        if share:
            return self.servers.devices[replica * share : (replica + 1) * share]
        return () if ":" not in self.device else (int(self.device.partition(":")[2]),)

    def _on_gpu(self, devices: Sequence[int]) -> list[str]:
        return [
            *("--gpu-memory-utilization", str(self.engine.gpu_memory_fraction)),
            *("--tensor-parallel-size", str(max(1, len(devices)))),
        ]


def _with_adapter(rank: int) -> list[str]:
    """One adapter at a time, of a rank for which the server has room."""
    room = next(each for each in ADAPTER_RANKS if each >= rank)
    return ["--enable-lora", "--max-loras", "1", "--max-lora-rank", str(room)]


ADAPTER_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Largest ranks that vLLM can be started for."""
_OVER_NCCL = ("--weight-transfer-config", '{"backend": "nccl"}')
_ON_CPU = ("--enforce-eager", "--block-size", "32", "--no-enable-chunked-prefill")
"""Blocks of 32 tokens, so that short prompts are shared too. And no prompt in parts: vLLM then takes back the
draw of a request with a seed, which a CPU's generator cannot, and ends."""
