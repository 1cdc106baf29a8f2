"""A pulled champion on a real server that somebody starts by hand."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from schemas.config.models import ModelConfig, TransformersEngineConfig
from tests.unit.wiring.registries import MODEL, open_test_registry
from tests.vllm.test_agreement import CPU, TOLERANCE, flat, plain
from tests.vllm_servers import PYTHON
from zppo.engines.transformers import TransformersEngine
from zppo.engines.vllm.client import VllmClient
from zppo.engines.vllm.servers import ManagedServer
from zppo.models.loading import checkpoint_directory, checkpoint_files, load_model, load_tokenizer, resolve
from zppo.ports import GenerationRequest
from zppo.wiring.pull import pull

pytestmark = pytest.mark.vllm
TEXTS = ("start 4 *3 +5 *2 mod 19", "start 11 +6 *5 +1 mod 19")


@contextmanager
def serving(directory: Path, log: Path) -> Iterator[str]:
    """The address of a server that was told the directory, and neither to round nor to compile."""
    settings = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "HF_HUB_OFFLINE": "1"}
    quiet = {"OMP_NUM_THREADS": "1", "VLLM_NO_USAGE_STATS": "1"}
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    program = [str(PYTHON.absolute()), "-m", "vllm.entrypoints.openai.api_server"]
    command = [*program, "--model", str(directory), "--dtype", "float32", "--enforce-eager"]
    server = ManagedServer("by hand", command, kept | settings | quiet, log, 900.0)

    async def ready() -> None:
        async with httpx.AsyncClient(base_url=server.url) as http:
            await server.wait_until_healthy(VllmClient(http))

    server.start()
    try:
        asyncio.run(ready())
        yield server.url
    finally:
        server.stop()


def test_it_answers_chats_as_transformers_computes_them(tmp_path: Path, mlflow_database: Path) -> None:
    config = ModelConfig(model="pocket/student")
    module, chat = load_model(config, resolve(config), CPU), load_tokenizer(config, resolve(config))
    registry = open_test_registry(tmp_path / "home", mlflow_database)
    registry.promote(registry.register(checkpoint_files(checkpoint_directory(resolve(config)))))
    directory = pull(registry.runtime, "champion", MODEL, tmp_path / "champion").directory
    transformers = TransformersEngine(module, chat, TransformersEngineConfig())
    requests = [GenerationRequest(text, transformers.encode(text), (0,)) for text in TEXTS]
    theirs = flat(transformers.generate(requests, plain(0.0)))
    with serving(directory, tmp_path / "server.log") as url:
        for text, expected in zip(TEXTS, theirs, strict=True):
            body = {
                "model": str(directory),
                "messages": [{"role": "user", "content": text}],
                "temperature": 0.0,
                "max_tokens": 32,
                "logprobs": True,
            }
            (choice,) = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=300).json()["choices"]
            assert choice["message"]["content"].split() == expected.text.split()
            drawn = [each["logprob"] for each in choice["logprobs"]["content"]]
            assert drawn == pytest.approx(expected.logprobs[: len(drawn)], abs=TOLERANCE)
            assert len(drawn) >= len(expected.logprobs) - 1  # the end of sequence may be left out
