"""A model that writes text for text: what responses, summaries and hints are drawn from.

A local engine and a chat endpoint are such models alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from schemas.config.models import DecodingConfig
from zppo.endpoints.chat import ChatAnswer, ChatFailure, ChatRequest
from zppo.endpoints.client import ChatClient
from zppo.ports import Generation, GenerationFailure, GenerationRequest, RolloutEngine

ROOM = 2
"""Tokens that a short text may take, as a multiple of its limit in the student's tokens: room for its tags,
and for a teacher with shorter tokens."""


@dataclass(frozen=True)
class TextRequest:
    """One user message, to be answered `len(seeds)` times."""

    id: str
    prompt: str
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Text:
    """One text as it was written."""

    text: str
    tokens: int
    """Drawn for it."""
    token_ids: tuple[int, ...] = ()
    """As drawn, where the model tells them."""
    truncated: bool = False
    """Cut off at the limit."""


class TextModel(Protocol):
    """Writes texts."""

    def write(
        self, requests: Sequence[TextRequest], max_tokens: int
    ) -> list[tuple[Text | GenerationFailure, ...]]:
        """One tuple a request, one text of at most `max_tokens` a seed, both in the order asked."""
        ...


class EngineText:
    """A local engine; one prefill a request."""

    def __init__(self, engine: RolloutEngine, decoding: DecodingConfig):
        """Keep the engine.

        Args:
            engine: Holds the model's weights.
            decoding: How texts are sampled; each request has a limit of its own.
        """
        self._engine = engine
        self._decoding = decoding

    def write(
        self, requests: Sequence[TextRequest], max_tokens: int
    ) -> list[tuple[Text | GenerationFailure, ...]]:
        """As the engine draws them, with their token ids."""
        if not requests:
            return []
        asked = [
            GenerationRequest(each.id, self._engine.encode(each.prompt), each.seeds) for each in requests
        ]
        decoding = self._decoding.model_copy(update={"max_response_tokens": max_tokens})
        return [tuple(map(_text, drawn)) for drawn in self._engine.generate(asked, decoding)]


class EndpointText:
    """A chat endpoint; its tokens are counted but not seen."""

    def __init__(
        self,
        client: ChatClient,
        temperature: float,
        enable_thinking: bool | None = None,
        many_choices: bool = False,
    ):
        """Keep the client.

        Args:
            client: Of the endpoint.
            temperature: Of sampling.
            enable_thinking: Passed to the model's chat template where it is set.
            many_choices: Ask for all texts of a request at once (`n`), which bills its prompt once; the seed
                is then that of the first.
        """
        self._client = client
        self._temperature = temperature
        self._enable_thinking = enable_thinking
        self._many_choices = many_choices

    def write(
        self, requests: Sequence[TextRequest], max_tokens: int
    ) -> list[tuple[Text | GenerationFailure, ...]]:
        """As the endpoint answers; a request that it cannot answer is a failure."""
        parts = [self._parts(request, max_tokens) for request in requests]
        answers = iter(self._client.complete([part for of_request in parts for part in of_request]))
        return [
            tuple(text for part in of_request for text in _texts(part, next(answers))) for of_request in parts
        ]

    def _parts(self, request: TextRequest, max_tokens: int) -> list[ChatRequest]:
        """One chat request a seed, or one for all; their names are unique, since seeds are."""
        step = max(len(request.seeds), 1) if self._many_choices else 1
        return [
            ChatRequest(
                id=f"{request.id}/{request.seeds[start]}",
                prompt=request.prompt,
                temperature=self._temperature,
                max_tokens=max_tokens,
                seed=request.seeds[start],
                n=step,
                enable_thinking=self._enable_thinking,
            )
            for start in range(0, len(request.seeds), step)
        ]


def _text(drawn: Generation | GenerationFailure) -> Text | GenerationFailure:
    if isinstance(drawn, GenerationFailure):
        return drawn
    return Text(drawn.text, len(drawn.token_ids), drawn.token_ids, drawn.stop == "length")


def _texts(request: ChatRequest, answer: ChatAnswer | ChatFailure) -> list[Text | GenerationFailure]:
    """One text a choice; of several, an endpoint tells only the sum of the tokens: they share it evenly."""
    if isinstance(answer, ChatFailure):
        return [GenerationFailure(answer.cause)] * request.n
    each, rest = divmod(answer.completion_tokens, request.n)
    return [
        Text(choice.text, each + (index < rest), truncated=choice.truncated)
        for index, choice in enumerate(answer.choices)
    ]
