"""A model behind vLLM servers: recipe and machine -> engine."""

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Literal

from transformers import PreTrainedModel

from schemas.config.learner import LoraConfig
from schemas.config.machine import GivenServers, ManagedServers, VllmServers
from schemas.config.models import ModelConfig, VllmEngineConfig
from schemas.config.run import Runtime
from schemas.run import ResolvedModel
from zppo.engines.ending import read_ending
from zppo.engines.vllm.engine import VllmEngine
from zppo.engines.vllm.launch import Launch
from zppo.engines.vllm.replica import Terms
from zppo.engines.vllm.servers import GivenServer, ManagedServer, Server
from zppo.engines.vllm.transfer import NcclWire, Wire
from zppo.engines.vllm.weights import Weights
from zppo.models.chat import ChatTokenizer
from zppo.models.loading import ModelReference, checkpoint_directory, checkpoint_files, pick_device
from zppo.models.vocabulary import logits_width
from zppo.wiring.scratch import scratch

ServedRole = Literal["student", "teacher"]


class Served:
    """A model's engine on vLLM servers, and all that is to be tidied away after it."""

    def __init__(
        self,
        model: ModelConfig,
        reference: ModelReference,
        resolved: ResolvedModel,
        tokenizer: ChatTokenizer,
        engine: VllmEngineConfig,
        runtime: Runtime,
        role: ServedRole,
        lora: LoraConfig | None = None,
    ) -> None:
        """Build the engine; no server is started before it is asked.

        Args:
            model: Its configuration.
            reference: Its checkpoint.
            resolved: Its name and the checkpoint's digest.
            tokenizer: Behind its chat template.
            engine: Of the recipe.
            runtime: Says where the servers are.
            role: Whose servers.
            lora: The adapters that will be trained in it, if any.

        Raises:
            InputError: The checkpoint cannot be had, or does not say where its responses end.
        """
        self.servers: VllmServers = getattr(runtime.vllm, role)
        self._on_gpu = pick_device(runtime.device).type != "cpu"
        self._stack = ExitStack()
        directory = checkpoint_directory(reference, model.trust_remote_code)
        self._scratch = self._stack.enter_context(scratch(_scratch_root(self.servers, runtime)))
        checkpoint = servable(directory, self._scratch)
        self._weights = Weights(checkpoint, resolved.reference, resolved.digest, self._scratch)
        eos_ids, window = read_ending(directory, tokenizer, model.trust_remote_code)
        terms = Terms(
            eos_ids=eos_ids,
            vocabulary=logits_width(model, reference),
            window=min(window, engine.max_model_len or window),
            concurrency=self.servers.concurrency,
            silence_seconds=self.servers.silence_seconds,
            restarts=self.servers.restarts,
            colocated=self.colocated,
            wire=_wire(self.servers, runtime),
            workers=_workers(self.servers),
            adapters=lora is not None and sends_adapters(self.servers),
        )
        rank = lora.rank if lora is not None and terms.adapters else 0
        servers = _servers(checkpoint, model, engine, self.servers, runtime, role, rank)
        self.engine = VllmEngine(tokenizer, servers, self._weights, terms)

    @property
    def colocated(self) -> bool:
        """Whether the servers are on the learner's GPU."""
        return isinstance(self.servers, ManagedServers) and self.servers.colocated and self._on_gpu

    def serve(self, model: ModelConfig, reference: ModelReference, resolved: ResolvedModel) -> None:
        """Serve another checkpoint from now on, of a model with the same architecture and tokenizer.

        Servers that run load its weights when they are next asked, as they do after an update.
        """
        directory = checkpoint_directory(reference, model.trust_remote_code)
        self._weights.become(servable(directory, self._scratch), resolved.reference, resolved.digest)

    def follow(self, module: PreTrainedModel) -> None:
        """Sample from the weights of a module from now on, which holds the checkpoint's at this moment."""
        self._weights.follow(module)

    def close(self) -> None:
        """Stop the servers, and remove the weights written for them."""
        self.engine.close()
        self._stack.close()


def servable(checkpoint: Path, scratch: Path) -> Path:
    """The checkpoint as vLLM can load it, which takes every safetensors file in a directory for weights.

    Where others lie beside them, such as a learner's optimizer, a directory of links below `scratch`.
    """
    files = checkpoint_files(checkpoint)
    if set(checkpoint.glob("*.safetensors")) <= set(files):
        return checkpoint
    view = Path(mkdtemp(prefix="checkpoint-", dir=scratch))
    for file in files:
        try:
            os.link(file.resolve(), view / file.name)
        except OSError:  # on another file system
            shutil.copyfile(file, view / file.name)
    return view


def _servers(
    checkpoint: Path,
    model: ModelConfig,
    engine: VllmEngineConfig,
    servers: VllmServers,
    runtime: Runtime,
    role: ServedRole,
    adapter_rank: int,
) -> Sequence[Server]:
    if isinstance(servers, GivenServers):
        return [GivenServer(url, servers.start_seconds) for url in servers.urls]
    launch = Launch(
        checkpoint=checkpoint,
        dtype=model.dtype,
        trust_remote_code=model.trust_remote_code,
        engine=engine,
        servers=servers,
        device=str(pick_device(runtime.device)),
        threads=max(1, runtime.threads),
        adapter_rank=adapter_rank,
    )
    logs = runtime.home.absolute() / "vllm"
    return [
        ManagedServer(
            f"{role} {replica}",
            launch.command(replica),
            launch.environment(replica),
            logs / f"{role}-{replica}.log",
            servers.start_seconds,
        )
        for replica in range(servers.replicas)
    ]


def _wire(servers: VllmServers, runtime: Runtime) -> Callable[[], Wire] | None:
    """What makes this process's end of a transfer past the disk, where the machine says so."""
    if isinstance(servers, GivenServers) or servers.weight_sync != "nccl":
        return None
    return partial(NcclWire, pick_device(runtime.device))


def sends_adapters(servers: VllmServers) -> bool:
    """Whether new weights go there as adapters beside the checkpoint's."""
    return isinstance(servers, ManagedServers) and servers.weight_sync == "adapter"


def _workers(servers: VllmServers) -> int:
    """Processes of each server, as far as they are known."""
    return 1 if isinstance(servers, GivenServers) else max(1, len(servers.devices) // servers.replicas)


def _scratch_root(servers: VllmServers, runtime: Runtime) -> Path:
    given = servers.weights if isinstance(servers, GivenServers) else None
    return (given or runtime.home / "tmp").absolute()
