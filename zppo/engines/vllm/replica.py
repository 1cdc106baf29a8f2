"""One server's share of a call: make it ready, bring it the weights, draw, watch, recover."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import httpx

from schemas.config.models import DecodingConfig
from zppo.engines.vllm.answers import Drawn
from zppo.engines.vllm.client import UNNAMED, ServedModel, VllmClient
from zppo.engines.vllm.faults import ServerFault, ServerRefusal
from zppo.engines.vllm.servers import Server
from zppo.engines.vllm.transfer import Transfer, Wire
from zppo.engines.vllm.weights import Weights
from zppo.errors import EngineError, InputError

_LOOKS = 10
"""How often the watch looks within the time of silence that it allows."""


@cache
def _certificates() -> ssl.SSLContext:
    """Read once: it takes longer than a request."""
    return httpx.create_ssl_context()


@dataclass
class Job:
    """One response to draw."""

    request: str
    """Of the request, for messages."""
    context_ids: tuple[int, ...]
    """Prompt and forced prefix."""
    seed: int
    limit: int
    came: Callable[[Drawn], None]
    """Takes the response, once."""
    done: bool = False


@dataclass(frozen=True)
class Terms:
    """What holds for every server of an engine."""

    eos_ids: Collection[int]
    vocabulary: int
    """Tokens that the model can draw."""
    window: int
    """Positions of the model that the recipe lets prompt and response take."""
    concurrency: int
    silence_seconds: float
    restarts: int
    colocated: bool = False
    wire: Callable[[], Wire] | None = None
    """Makes this process's end of a transfer past the disk; None: new weights go over the disk."""
    workers: int = 1
    """Processes of each server."""
    adapters: bool = False
    """New weights are adapters beside the checkpoint's weights."""


class Replica:
    """A server, and what this process knows of it."""

    def __init__(self, server: Server, weights: Weights, terms: Terms) -> None:
        """Nothing is started yet."""
        self._server = server
        self._weights = weights
        self._terms = terms
        self._drawn = 0
        self._asleep = False
        self._transfer = (
            Transfer(terms.wire, terms.workers, terms.silence_seconds) if terms.wire is not None else None
        )

    async def answer(self, jobs: Sequence[Job], decoding: DecodingConfig) -> None:
        """Draw every response, whatever happens to the server, within the set number of restarts.

        Raises:
            EngineError: It failed too often, or refuses; names the request and the end of the log.
            InputError: It cannot be used as it was started.
        """
        attempts = self._terms.restarts + 1
        for attempt in range(attempts):
            try:
                async with self._prepared() as (client, name):
                    await self._draw(client, name, [job for job in jobs if not job.done], decoding)
            except (ServerFault, ServerRefusal) as problem:
                if attempt + 1 == attempts or isinstance(problem, ServerRefusal):
                    raise EngineError(self._explained(problem, jobs, attempt + 1)) from problem
                self._stop()
            else:
                return

    async def rest(self) -> None:
        """Free the GPU until the next call; does nothing for a server of its own GPU.

        A server that cannot sleep is ended, which frees the GPU as well; the next call starts it.
        """
        if self._terms.colocated and self._drawn and not self._asleep:
            try:
                async with self._connection() as client:
                    await client.sleep()
                self._asleep = True
            except (ServerFault, ServerRefusal):
                self._stop()

    def close(self) -> None:
        """Stop the server, if it is this process's."""
        self._stop()

    def _stop(self) -> None:
        self._server.stop()
        self._asleep = False
        if self._transfer is not None:
            self._transfer.forget()

    @asynccontextmanager
    async def _prepared(self) -> AsyncIterator[tuple[VllmClient, str]]:
        """The server running, awake, with the current weights, checked again afterwards.

        Also what requests call them.
        """
        self._server.start()
        async with self._connection() as client:
            await self._server.wait_until_healthy(client)
            if self._asleep:
                await client.wake_up()
                self._asleep = False
            model = await client.model()
            if model.max_model_len < self._terms.window:
                raise InputError(
                    f"the vLLM server {self._server.name} takes {model.max_model_len} tokens of prompt and "
                    f"response, but the recipe lets them have {self._terms.window}; start it with a larger "
                    "--max-model-len, or set engine.max_model_len"
                )
            name = await self._bring_weights(client, model)
            held = await client.weights()
            yield client, name
            if await client.weights() != held:
                raise EngineError(
                    f"another process gave the vLLM server {self._server.name} other weights while it "
                    "sampled; give each run servers of its own, and resume the run"
                )

    async def _bring_weights(self, client: VllmClient, model: ServedModel) -> str:
        """Make it hold the current weights, unless it does already; it is asked, not remembered.

        Returns what requests call them: the model's name, or an adapter's, which is that of the weights.
        """
        weights = self._weights
        adapter = weights.adapter() if self._terms.adapters else None
        if adapter is None:
            await self._bring_model(client, model, weights.name, weights.directory)
            return model.id
        await self._bring_model(client, model, weights.digest, lambda: weights.checkpoint)
        held = await client.adapters()
        if weights.name not in held:
            for each in held:
                await client.forget_adapter(each)
            await client.load_adapter(adapter, weights.name)
            await client.reset_prefix_cache()
        return weights.name

    async def _bring_model(
        self, client: VllmClient, model: ServedModel, name: str, directory: Callable[[], Path]
    ) -> None:
        """Make the model itself hold the weights of that name, which lie in a directory."""
        weights, held = self._weights, await client.weights()
        as_started = held in (None, UNNAMED) and model.root in weights.origins
        if name == (weights.digest if as_started else held):
            return
        if held is None:
            raise InputError(
                f"the vLLM server {self._server.name} was started with {model.root!r} and takes no other "
                f"weights, but must hold those of {weights.origins[0]!r}; start it with these, or, where a "
                "run trains them, with VLLM_SERVER_DEV_MODE=1 in its environment"
            )
        tensors = weights.tensors() if self._transfer is not None else None
        if self._transfer is None or tensors is None:
            await client.load_weights(directory(), name)
        else:
            await self._transfer.bring(client, tensors)
            await client.take_name(name)

    async def _draw(
        self, client: VllmClient, name: str, jobs: Sequence[Job], decoding: DecodingConfig
    ) -> None:
        """Draw the responses, as many at a time as allowed; the first problem lets no further one begin."""
        waiting, problems = iter(jobs), list[ServerFault | ServerRefusal]()

        async def work() -> None:
            # A pool looks through all of its connections at every request, so each has a client of its own.
            async with self._connection() as own:
                for job in waiting:
                    try:
                        drawn = await self._one(own, name, job, decoding)
                    except (ServerFault, ServerRefusal) as problem:
                        problems.append(type(problem)(f"asked for {job.request!r}: {problem}"))
                        return
                    job.done = True
                    job.came(drawn)
                    self._drawn += 1
                    if problems:
                        return

        workers = min(self._terms.concurrency, len(jobs))
        drawing: asyncio.Future[list[None]] = asyncio.gather(*(work() for _ in range(workers)))
        watching: asyncio.Future[None] = asyncio.ensure_future(self._watch(client))
        try:
            await asyncio.wait((drawing, watching), return_when=asyncio.FIRST_COMPLETED)
            (drawing if drawing.done() else watching).result()
        finally:
            drawing.cancel()
            watching.cancel()
            await asyncio.gather(drawing, watching, return_exceptions=True)
        if problems:
            raise problems[0]

    async def _one(self, client: VllmClient, name: str, job: Job, decoding: DecodingConfig) -> Drawn:
        terms = self._terms
        return await client.complete(
            name, job.context_ids, job.seed, job.limit, decoding, terms.eos_ids, terms.vocabulary
        )

    async def _watch(self, client: VllmClient) -> None:
        """Never returns; raises `ServerFault` when the server is dead, or silent for too long."""
        silence = self._terms.silence_seconds
        counted, drawn, since = -1.0, self._drawn, time.monotonic()
        while True:
            self._server.check_alive()
            now = counted
            with suppress(ServerFault, ServerRefusal, TimeoutError):
                # A server that does not even tell its counters has no longer than one that does.
                async with asyncio.timeout(max(0.0, since + silence - time.monotonic())):
                    now = await client.progress()
            if (now, self._drawn) != (counted, drawn):
                counted, drawn, since = now, self._drawn, time.monotonic()
            elif time.monotonic() - since > silence:
                raise ServerFault(f"it hangs: no token in {silence:g} s")
            await asyncio.sleep(silence / _LOOKS)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[VllmClient]:
        async with httpx.AsyncClient(
            base_url=self._server.url,
            timeout=self._terms.silence_seconds,
            verify=_certificates(),
            trust_env=False,  # no proxy stands before a server of one's own
        ) as http:
            yield VllmClient(http)

    def _explained(self, problem: Exception, jobs: Sequence[Job], attempts: int) -> str:
        unfinished = [job for job in jobs if not job.done]
        first = unfinished[0].request if unfinished else "none"
        return (
            f"the vLLM server {self._server.name} at {self._server.url} failed, {attempts} times in this "
            f"call, the last time with {len(unfinished)} of {len(jobs)} responses unfinished, the first of "
            f"them to the request {first!r}: {problem}. What is committed stays: mend the server and resume "
            f"the run. {self._server.last_words()}"
        )
