"""`RolloutEngine` over one or several vLLM servers."""

import asyncio
import resource
from collections.abc import Coroutine, Iterable, Sequence
from functools import partial

import torch

from schemas.config.models import DecodingConfig
from zppo.engines.arrivals import Arrivals
from zppo.engines.room import Room
from zppo.engines.vllm.answers import Drawn
from zppo.engines.vllm.replica import Job, Replica, Terms
from zppo.engines.vllm.servers import Server
from zppo.engines.vllm.weights import Weights
from zppo.models.chat import ChatTokenizer
from zppo.ports import Finished, Generation, GenerationFailure, GenerationRequest


class VllmEngine:
    """Samples through vLLM; the servers get the current weights before each call that needs them.

    Each response is a request of its own, because each has its own seed; those of a prompt go to the same
    server, whose prefix cache holds the prompt after the first. All are submitted at once. A seed fixes the
    noise of a response whatever else is in the batch; the logits may still differ by rounding with the
    batch, and a token with them where two are nearly equal.

    Log-probabilities are the server's, at the sampling temperature. Where a decoding truncates or
    penalises, as evaluation may and training does not, they are those of the truncated distribution.
    """

    def __init__(
        self, tokenizer: ChatTokenizer, servers: Sequence[Server], weights: Weights, terms: Terms
    ) -> None:
        """Nothing is started before the first call.

        Args:
            tokenizer: Of the model; the servers see token ids only.
            servers: At least one.
            weights: What they must hold.
            terms: What holds for each of them.
        """
        self._tokenizer = tokenizer
        self._weights = weights
        self._terms = terms
        self._replicas = [Replica(server, weights, terms) for server in servers]

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of a user message inside the chat template, ready to be answered."""
        return self._tokenizer.encode(text)

    def tokenize(self, text: str) -> tuple[int, ...]:
        """Token ids of bare text."""
        return self._tokenizer.tokenize(text)

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        decoding: DecodingConfig,
        finished: Finished | None = None,
    ) -> list[tuple[Generation | GenerationFailure, ...]]:
        """One tuple a request, one response a seed, both in the order asked.

        A prompt or a forced prefix that leaves no room becomes a `GenerationFailure`. Raises `EngineError`
        when a server failed more often than it may.
        """
        room = Room(self._terms.window, decoding.max_response_tokens)
        arrivals = Arrivals(requests, finished)
        groups = [self._jobs(place, each, room, arrivals) for place, each in enumerate(requests)]
        count = len(self._replicas)
        shares = [[job for group in groups[place::count] for job in group] for place in range(count)]
        busy = [(each, share) for each, share in zip(self._replicas, shares, strict=True) if share]
        if busy:
            self._weights.look()
            if self._terms.colocated and torch.cuda.is_available():
                torch.cuda.empty_cache()  # what the learner holds in reserve is the servers' now
            _allow_connections(sum(min(len(share), self._terms.concurrency) for share in shares))
            _together(each.answer(share, decoding) for each, share in busy)
        return arrivals.all()

    def rest(self) -> None:
        """Leave a GPU that the servers share with the learner; they come back at the next call."""
        if self._terms.colocated:
            _together(replica.rest() for replica in self._replicas)

    def close(self) -> None:
        """Stop the servers that are this process's, and remove the weights written for them."""
        for replica in self._replicas:
            replica.close()
        self._weights.remove()

    def _jobs(self, place: int, request: GenerationRequest, room: Room, arrivals: Arrivals) -> list[Job]:
        """A job for each response; none where there is no room."""
        limit, context_ids = room.limit(request), request.prompt_ids + request.prefix_ids
        if not limit:
            for index in range(len(request.seeds)):
                arrivals.add(place, index, room.refusal(request))
            return []

        def came(index: int, drawn: Drawn) -> None:
            arrivals.add(place, index, self._generation(request, drawn))

        return [
            Job(request.id, context_ids, seed, limit, partial(came, index))
            for index, seed in enumerate(request.seeds)
        ]

    def _generation(self, request: GenerationRequest, drawn: Drawn) -> Generation:
        text_ids = drawn.token_ids[:-1] if drawn.stop == "eos" else drawn.token_ids
        text = self._tokenizer.decode(request.prefix_ids + text_ids)
        return Generation(text, drawn.token_ids, drawn.logprobs, drawn.stop)


def _together(work: Iterable[Coroutine[None, None, None]]) -> None:
    """Run coroutines together; the first error ends the others and is raised."""

    async def run() -> None:
        async with asyncio.TaskGroup() as tasks:
            for each in work:
                tasks.create_task(each)

    try:
        asyncio.run(run())
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from errors.exceptions[0].__cause__


def _allow_connections(count: int) -> None:
    """Raise the soft limit on open files, each connection being one, as far as the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 512
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
