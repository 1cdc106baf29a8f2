"""What is said to one vLLM server, over its OpenAI-compatible API and its development endpoints.

The development endpoints (`VLLM_SERVER_DEV_MODE=1`) load weights, name them, and put a server to sleep. See
https://docs.vllm.ai/en/latest/ for all of them.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar

import httpx
from pydantic import BaseModel, JsonValue, ValidationError
from torch import Tensor

from schemas.config.models import DecodingConfig
from zppo.engines.vllm.answers import Drawn, read_completion
from zppo.engines.vllm.faults import ServerFault, ServerRefusal

UNNAMED = "default"
"""What a server calls the weights that it was started with."""
_COUNTERS = ("vllm:generation_tokens_total", "vllm:prompt_tokens_total", "vllm:request_success_total")
_HEALTH_SECONDS = 5.0
_RESETS, _RESET_PAUSE = 50, 0.2
"""A reset of the prefix cache fails while aborted requests still hold blocks of it."""


class ServedModel(BaseModel):
    """The model that a server holds, as it says itself."""

    id: str
    root: str
    """Name or path that it was started with."""
    max_model_len: int


class _Adapter(BaseModel):
    id: str
    parent: str
    """The model that it belongs to."""


class _Models(BaseModel):
    data: tuple[ServedModel | _Adapter, ...]


class _Weights(BaseModel):
    weight_version: str


class _Success(BaseModel):
    success: bool


Content = TypeVar("Content", bound=BaseModel)


class VllmClient:
    """One server. Every method but `complete` answers within the time-out of `http`.

    Raises `ServerFault` when the server does not answer, or answers nonsense, and `ServerRefusal` when it
    says no.
    """

    def __init__(self, http: httpx.AsyncClient) -> None:
        """Talk through `http`, whose base address is the server's."""
        self._http = http

    async def healthy(self) -> bool:
        """Whether it answers and says that it can work."""
        try:
            return (await self._http.get("/health", timeout=_HEALTH_SECONDS)).status_code == HTTPStatus.OK
        except httpx.TransportError:
            return False

    async def model(self) -> ServedModel:
        """The model that it serves, without adapters."""
        for each in await self._models():
            if isinstance(each, ServedModel):
                return each
        raise ServerFault("it serves no model")

    async def adapters(self) -> list[str]:
        """The names of the adapters that it holds."""
        return [each.id for each in await self._models() if isinstance(each, _Adapter)]

    async def _models(self) -> tuple[ServedModel | _Adapter, ...]:
        return _read(_Models, await self._send("GET", "/v1/models")).data

    async def complete(
        self,
        model: str,
        prompt_ids: Sequence[int],
        seed: int,
        limit: int,
        decoding: DecodingConfig,
        eos_ids: Collection[int],
        vocabulary: int,
    ) -> Drawn:
        """Draw one response; waits as long as that takes.

        Every setting is sent, so that neither the server's defaults nor the checkpoint's generation config
        change the distribution.
        """
        body: dict[str, JsonValue] = {
            "model": model,
            "prompt": list(prompt_ids),
            "seed": seed,
            "max_tokens": limit,
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "top_k": decoding.top_k,
            "min_p": decoding.min_p,
            "presence_penalty": decoding.presence_penalty,
            "frequency_penalty": 0.0,
            "repetition_penalty": decoding.repetition_penalty,
            "ignore_eos": True,  # the tokens that end a response are the next line's
            "stop_token_ids": [*eos_ids],
            "logprobs": 0,  # of the token drawn, and of no other
            "return_token_ids": True,
        }
        content = await self._send("POST", "/v1/completions", body, patient=True)
        return read_completion(content, limit, eos_ids, vocabulary)

    async def progress(self) -> float:
        """A number that grows with every token that it reads or draws."""
        text = (await self._send("GET", "/metrics")).decode(errors="replace")
        counted = (line for line in text.splitlines() if line.startswith(_COUNTERS))
        return sum(float(line.rpartition(" ")[2]) for line in counted)

    async def weights(self) -> str | None:
        """The name of the weights that it holds; None for a server that takes no others."""
        try:
            return _read(_Weights, await self._send("GET", "/weight_info")).weight_version
        except ServerRefusal:
            return None

    async def load_weights(self, directory: Path, name: str) -> None:
        """Read weights from safetensors on its disk, and take their name."""
        await self._call("reload_weights", weights_path=str(directory))
        await self.take_name(name)

    async def take_name(self, name: str) -> None:
        """With new weights: forget what was computed with others; name them last."""
        await self.reset_prefix_cache()
        await self._send("POST", "/update_weight_version", {"new_version": name})

    async def load_adapter(self, directory: Path, name: str) -> None:
        """Read an adapter from its disk, under a name that requests can give in place of the model's."""
        await self._send("POST", "/v1/load_lora_adapter", {"lora_name": name, "lora_path": str(directory)})

    async def forget_adapter(self, name: str) -> None:
        """Serve an adapter no longer."""
        await self._send("POST", "/v1/unload_lora_adapter", {"lora_name": name})

    async def join_transfer(self, identity: str, size: int) -> None:
        """Have its workers join an NCCL communicator as ranks 1 to `size` - 1; returns when all have joined.

        Args:
            identity: Of the communicator, in base64.
            size: With this process, which is rank 0.
        """
        info: dict[str, JsonValue] = {
            "rank_offset": 1,
            "world_size": size,
            "nccl_unique_id_b64": identity,
            "packed": False,
        }
        await self._send("POST", "/init_weight_transfer_engine", {"init_info": info})

    async def start_update(self) -> None:
        """Get ready for new weights."""
        await self._send("POST", "/start_weight_update")

    async def receive(self, weights: Mapping[str, Tensor]) -> None:
        """Take tensors from rank 0, in this order; returns when they have arrived."""
        info: dict[str, JsonValue] = {
            "names": [*weights],
            "dtype_names": [str(tensor.dtype).removeprefix("torch.") for tensor in weights.values()],
            "shapes": [list(tensor.shape) for tensor in weights.values()],
        }
        await self._send("POST", "/update_weights", {"update_info": info})

    async def finish_update(self) -> None:
        """Make the new weights ready for use."""
        await self._send("POST", "/finish_weight_update")

    async def reset_prefix_cache(self) -> None:
        """Forget the keys and values of earlier prompts, which belong to the weights of that time."""
        for _ in range(_RESETS):
            if _read(_Success, await self._send("POST", "/reset_prefix_cache")).success:
                return
            await asyncio.sleep(_RESET_PAUSE)
        raise ServerFault("it does not reset its prefix cache: other requests keep it in use")

    async def sleep(self) -> None:
        """Free the GPU: weights go to the host's memory, the cache is dropped."""
        await self._send("POST", "/sleep?level=1")

    async def wake_up(self) -> None:
        """Take the GPU again; does nothing where it is awake."""
        await self._send("POST", "/wake_up")

    async def _call(self, method: str, **arguments: JsonValue) -> None:
        await self._send("POST", "/collective_rpc", {"method": method, "kwargs": arguments})

    async def _send(
        self,
        verb: str,
        path: str,
        body: JsonValue = None,
        patient: bool = False,
    ) -> bytes:
        timeout = None if patient else self._http.timeout
        try:
            response = await self._http.request(verb, path, json=body, timeout=timeout)
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise ServerFault(f"{verb} {path} is not answered: {reason}") from error
        if response.is_success:
            return response.content
        said = f"{verb} {path} is answered with {response.status_code}: {response.text[:500]}"
        if response.is_server_error or response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            raise ServerFault(said)
        raise ServerRefusal(said)


def _read(kind: type[Content], content: bytes) -> Content:
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        raise ServerFault(f"an answer that is no {kind.__name__.strip('_').lower()}: {error}") from error
