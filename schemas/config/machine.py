"""Where models are served and trained on machines; none of it changes what is computed."""

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, NonNegativeInt, field_validator, model_validator

from schemas.base import Config


class _Servers(Config):
    concurrency: int = Field(default=512, ge=1)
    """Responses in flight on each server at most; more than it decodes together only wait there."""
    start_seconds: float = Field(default=900.0, gt=0.0)
    """Longest time until a server answers, its model loaded."""
    silence_seconds: float = Field(default=300.0, gt=0.0)
    """A server that has work and makes no token for so long hangs."""
    restarts: int = Field(default=2, ge=0)
    """Times that a server may fail in one call; its unfinished responses, only those, are asked for again."""


class ManagedServers(_Servers):
    """Servers that the program starts, watches and stops."""

    type: Literal["managed"] = "managed"
    python: Path = Path(".venv-vllm/bin/python")
    """Interpreter of the environment with vLLM; `make vllm-env` makes this one."""
    replicas: int = Field(default=1, ge=1)
    """Servers, each with the whole model; the prompts are shared out among them."""
    devices: tuple[NonNegativeInt, ...] = ()
    """CUDA devices, shared out evenly: with two devices and one replica, each holds half of every matrix.
    None: the learner's device, or the CPU."""
    colocated: bool = False
    """On the learner's GPU: the servers sleep while the learner works."""
    weight_sync: Literal["disk", "adapter", "nccl"] = "disk"
    """How new weights get to the student's servers. disk: as files, which works everywhere. adapter: as files
    of the adapters alone, where the learner trains some (`learner.lora`).
    nccl: from the learner's GPU to those of the servers (`devices`) over NCCL; not yet run on GPUs."""
    cpu_cache_gib: int = Field(default=2, ge=1)
    """Key-value cache of a server on the CPU."""
    arguments: tuple[str, ...] = ()
    """Further arguments of `vllm serve`, such as `--language-model-only`."""

    @model_validator(mode="after")
    def _devices_are_shared_out(self) -> Self:
        if len(self.devices) % self.replicas:
            raise ValueError(
                f"{len(self.devices)} devices cannot be shared out evenly among {self.replicas} replicas"
            )
        if self.colocated and self.devices:
            raise ValueError("colocated servers are on the learner's device: leave devices out")
        if self.weight_sync == "nccl" and not self.devices:
            raise ValueError(
                "weight_sync is nccl, which needs GPUs that are not the learner's: name them in devices, or "
                "set weight_sync to disk"
            )
        return self


class GivenServers(_Servers):
    """Servers that run already, started by somebody else."""

    type: Literal["given"] = "given"
    urls: tuple[str, ...] = Field(min_length=1)
    """Their addresses, such as `http://localhost:8000`. To take new weights, and to be asked which they
    hold, they need `VLLM_SERVER_DEV_MODE=1` and `--logprobs-mode processed_logprobs`."""
    weights: Path | None = None
    """Directory for new weights that the servers see under the same path; none: below the home."""

    @field_validator("urls")
    @classmethod
    def _are_addresses(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError(f"expected addresses such as http://localhost:8000, got {url!r}")
        addresses = tuple(url.rstrip("/").removesuffix("/v1") for url in urls)
        if len(set(addresses)) < len(addresses):
            raise ValueError("an address stands twice")
        return addresses


def _type_by_urls(value: object) -> object:
    """Servers with addresses are given, others managed."""
    return {"type": "given" if "urls" in value else "managed", **value} if isinstance(value, dict) else value


VllmServers = Annotated[
    ManagedServers | GivenServers, Field(discriminator="type"), BeforeValidator(_type_by_urls)
]


class HourlyPrice(Config):
    """What an hour of this machine costs, all of its devices together: reports turn seconds into money."""

    per_hour: float = Field(ge=0.0)
    currency: str = Field(default="USD", min_length=1, max_length=12)


class LearnerMachines(Config):
    """Machines that share the ranks of an `fsdp` learner; the run is on the first, the others join it.

    All see the home of runs at the same path, and share nothing else.
    """

    nodes: int = Field(ge=2)
    """Machines; `learner.processes` is shared out evenly among them."""
    rendezvous: str
    """Where all reach the first machine, and a free port of it, such as `node-1:29500`. Whoever can reach
    the port can disturb the run, as with any torch program: a network that is yours."""
    start_seconds: float = Field(default=600.0, gt=0.0)
    """Longest time that the first machine waits for the others."""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, _, port = self.rendezvous.rpartition(":")
        return host, int(port)

    @field_validator("rendezvous")
    @classmethod
    def _is_an_address(cls, rendezvous: str) -> str:
        host, _, port = rendezvous.rpartition(":")
        if not host or ":" in host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise ValueError(f"expected a host and a port, such as node-1:29500, got {rendezvous!r}")
        return rendezvous


class VllmRuntime(Config):
    """The vLLM servers of a run."""

    student: VllmServers = ManagedServers()
    """Of the student, and of the checkpoints that are evaluated."""
    teacher: VllmServers = ManagedServers()
