"""Real vLLM servers for tests: they need `VLLM_PYTHON`, an interpreter of an environment with vLLM."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from schemas.config.learner import LoraConfig
from schemas.config.machine import GivenServers, ManagedServers
from schemas.config.models import ModelConfig, VllmEngineConfig
from schemas.config.run import Runtime
from schemas.run import ResolvedModel
from zppo.models.loading import digest, load_tokenizer, resolve
from zppo.wiring.vllm import Served

PYTHON = Path(os.environ.get("VLLM_PYTHON", ".venv-vllm/bin/python"))
SILENCE_SECONDS = 30.0
START_SECONDS = 1700.0
"""A busy machine takes long to start a server; the test's own time-out comes next."""


def machine(home: Path, **servers: object) -> Runtime:
    """One managed server on the CPU for each model, unless told otherwise."""
    kind = GivenServers if "urls" in servers else ManagedServers
    settings = {"silence_seconds": SILENCE_SECONDS, **servers}
    if kind is ManagedServers:
        settings |= {"python": PYTHON, "cpu_cache_gib": 1, "start_seconds": START_SECONDS}
    served = kind.model_validate(settings)
    return Runtime.model_validate(
        {"home": home, "device": "cpu", "vllm": {"student": served, "teacher": served}}
    )


@contextmanager
def served(
    model: str, runtime: Runtime, lora: LoraConfig | None = None, **engine: object
) -> Iterator[Served]:
    """A model on vLLM, in which adapters will be trained or not."""
    config = ModelConfig(model=model)
    reference = resolve(config)
    resolved = ResolvedModel(reference=model, digest=digest(reference))
    tokenizer = load_tokenizer(config, reference)
    vllm = VllmEngineConfig.model_validate(engine)
    model_served = Served(config, reference, resolved, tokenizer, vllm, runtime, "student", lora)
    try:
        yield model_served
    finally:
        model_served.close()


def processes(name: str) -> list[psutil.Process]:
    """Processes of vLLM below this one whose title holds `name`, such as EngineCore, Worker or api_server."""
    found = psutil.Process().children(recursive=True)
    return [each for each in found if name in _title(each) and "guardian.py" not in _title(each)]


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
