"""Models of a run: pinned when it is opened, loaded when they are needed."""

import hashlib
import json
from functools import cached_property
from pathlib import Path

import torch
from transformers import PreTrainedModel

from schemas.config.learner import LoraConfig
from schemas.config.models import EngineConfig, ModelConfig, VllmEngineConfig
from schemas.config.run import RunConfig, Runtime
from schemas.run import ResolvedModel
from zppo.engines.transformers import TransformersEngine
from zppo.models.chat import ChatTokenizer
from zppo.models.loading import (
    ModelReference,
    checkpoint_directory,
    digest,
    load_model,
    load_tokenizer,
    pick_device,
    resolve,
)
from zppo.models.vocabulary import Vocabulary, logits_width
from zppo.ports import RolloutEngine
from zppo.watchdog.guard import Watchdog
from zppo.wiring.registry import is_registry_name, resolve_version, version_directory
from zppo.wiring.vllm import Served, ServedRole

SMALL_PARAMETERS = 20_000_000
"""Up to here one CPU thread is faster than several: the matrices are too small to share out."""


def pin(model: ModelConfig, config: RunConfig, runtime: Runtime) -> ResolvedModel:
    """The model that a recipe means now; `champion` becomes the version that it names now."""
    if is_registry_name(model.model):
        return resolve_version(model.model, config.promotion.registered_model, runtime)
    reference = resolve(model)
    return ResolvedModel(reference=model.model, revision=reference.commit, digest=digest(reference))


class LoadedModel:
    """A causal language model, its tokenizer and an engine on it, each loaded when it is first needed."""

    def __init__(
        self,
        model: ModelConfig,
        resolved: ResolvedModel,
        engine: EngineConfig,
        config: RunConfig,
        runtime: Runtime,
        watchdog: Watchdog | None = None,
        role: ServedRole = "student",
        lora: LoraConfig | None = None,
    ) -> None:
        self.config = model
        self.resolved = resolved
        self._engine = engine
        self._run = config
        self._runtime = runtime
        self._watchdog = watchdog
        self._role = role
        self._lora = lora
        """The adapters that will be trained in it, if any."""

    @cached_property
    def _reference(self) -> ModelReference:
        name = self.resolved.reference
        if is_registry_name(name):
            model = self._run.promotion.registered_model
            return ModelReference(name, directory=version_directory(name, model, self._runtime))
        pinned = {"model": name, "revision": self.resolved.revision}
        return resolve(self.config.model_copy(update=pinned))

    @property
    def directory(self) -> Path:
        """The checkpoint's files."""
        return checkpoint_directory(self._reference, self.config.trust_remote_code)

    @cached_property
    def tokenizer(self) -> ChatTokenizer:
        """The tokenizer behind its chat template."""
        return load_tokenizer(self.config, self._reference)

    @cached_property
    def module(self) -> PreTrainedModel:
        """The weights, in evaluation mode."""
        module = load_model(self.config, self._reference, pick_device(self._runtime.device))
        if self._served is not None:
            self._served.follow(module)
        return module

    @cached_property
    def engine(self) -> RolloutEngine:
        """A sampler, always on the module's current weights where there is a module."""
        if self._served is not None:
            return self._served.engine
        assert not isinstance(self._engine, VllmEngineConfig), "such a model is served"
        engine = TransformersEngine(self.module, self.tokenizer, self._engine)
        return self._watchdog.engine(engine, self.module) if self._watchdog else engine

    @cached_property
    def _served(self) -> Served | None:
        """The engine on vLLM servers, where the recipe has one; nothing is started yet."""
        if not isinstance(self._engine, VllmEngineConfig):
            return None
        model = (self.config, self._reference, self.resolved, self.tokenizer)
        return Served(*model, self._engine, self._runtime, self._role, self._lora)

    @property
    def shares_its_gpu(self) -> bool:
        """Whether its sampler must leave the GPU before a learner works there."""
        return self._served is not None and self._served.colocated

    def rest(self) -> None:
        """Have such a sampler leave the GPU."""
        if self._served is not None:
            self._served.engine.rest()

    def use_threads(self) -> None:
        """Set torch's threads for sampling from it; nothing for a model that another process samples."""
        if self._served is None:
            use_threads(self.module, self._runtime.threads)

    def take_servers(self, other: "LoadedModel") -> None:
        """Sample from here on through the servers that another model started, if it did.

        Both are of one architecture with one tokenizer, as a student before and after training.
        """
        other.__dict__.pop("engine", None)
        served: Served | None = other.__dict__.pop("_served", None)
        if served is not None:
            served.serve(self.config, self._reference, self.resolved)
            self.__dict__["_served"] = served

    def unload(self) -> None:
        """Let go of the weights and of servers; they are there anew when they are needed again."""
        self.__dict__.pop("engine", None)
        served: Served | None = self.__dict__.pop("_served", None)
        if served is not None:
            served.close()
        self.__dict__.pop("module", None)

    @cached_property
    def tokenizer_digest(self) -> str:
        """SHA-256 of what turns text into tokens: vocabulary, merges, normalisation, chat template."""
        tokenizer = self.tokenizer.tokenizer
        backend = getattr(tokenizer, "backend_tokenizer", None)
        text = backend.to_str() if backend is not None else json.dumps(sorted(tokenizer.get_vocab().items()))
        return hashlib.sha256(f"{text}\0{tokenizer.chat_template}".encode()).hexdigest()

    @property
    def vocabulary(self) -> Vocabulary:
        """What its logits stand for; reads no weights."""
        width = logits_width(self.config, self._reference)
        return Vocabulary(self.config.model, self.tokenizer.tokenizer, width)

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """Control tokens of the tokenizer, which candidate text must not hold."""
        tokenizer = self.tokenizer.tokenizer
        # The named ones are not all: SmolLM2 also encodes `<jupyter_code>` as one.
        added = (token.content for token in tokenizer.added_tokens_decoder.values() if token.special)
        return tuple(sorted({*tokenizer.all_special_tokens, *added}))


def use_threads(model: PreTrainedModel, threads: int) -> int:
    """Set torch's threads: as asked, or one for a small model on the CPU; returns how many."""
    if threads == 0 and model.device.type == "cpu" and model.num_parameters() <= SMALL_PARAMETERS:
        threads = 1
    if threads:
        torch.set_num_threads(threads)
    return torch.get_num_threads()
