"""Adapters of the port `TextModel`: a local engine, a chat endpoint."""

from collections.abc import Callable, Sequence

from schemas.config.models import DecodingConfig
from zppo.endpoints.chat import ChatAnswer, ChatFailure, ChatRequest
from zppo.endpoints.client import ChatClient
from zppo.ports import (
    Generation,
    GenerationFailure,
    GenerationRequest,
    RolloutEngine,
    Text,
    TextRequest,
)

ROOM = 2
"""Tokens that a short text may take, as a multiple of its limit in the student's tokens: room for its tags,
and for a teacher with shorter tokens."""


class EngineText:
    """A local engine; one prefill a request."""

    def __init__(
        self,
        engine: RolloutEngine,
        decoding: DecodingConfig,
        encode: Callable[[str], tuple[int, ...]] | None = None,
    ):
        """Keep the engine.

        Args:
            engine: Holds the model's weights.
            decoding: How texts are sampled; each request has a limit of its own.
            encode: Token ids of a prompt, chat template included; as the engine encodes it unless given.
        """
        self._engine = engine
        self._decoding = decoding
        self._encode = encode or engine.encode

    def write(
        self, requests: Sequence[TextRequest], max_tokens: int
    ) -> list[tuple[Text | GenerationFailure, ...]]:
        """As the engine draws them, with their token ids."""
        if not requests:
            return []
        asked = [GenerationRequest(each.id, self._encode(each.prompt), each.seeds) for each in requests]
        decoding = self._decoding.model_copy(update={"max_response_tokens": max_tokens})
        drawn = self._engine.generate(asked, decoding)
        return [
            tuple(
                _text(each, 0 if index else len(request.prompt_ids)) for index, each in enumerate(of_request)
            )
            for request, of_request in zip(asked, drawn, strict=True)
        ]


class EndpointText:
    """A chat endpoint; its tokens are counted but not seen."""

    def __init__(
        self,
        client: ChatClient,
        decoding: DecodingConfig,
        enable_thinking: bool | None = None,
        many_choices: bool = False,
    ):
        """Keep the client.

        Args:
            client: Of the endpoint.
            decoding: How texts are sampled; each request has a limit of its own.
            enable_thinking: Passed to the model's chat template where it is set.
            many_choices: Ask for all texts of a request at once (`n`), which bills its prompt once; the seed
                is then that of the first.
        """
        self._client = client
        self._decoding = decoding
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
        step, decoding = max(len(request.seeds), 1) if self._many_choices else 1, self._decoding
        return [
            ChatRequest(
                id=f"{request.id}/{request.seeds[start]}",
                prompt=request.prompt,
                temperature=decoding.temperature,
                max_tokens=max_tokens,
                seed=request.seeds[start],
                n=step,
                enable_thinking=self._enable_thinking,
                top_p=decoding.top_p,
                presence_penalty=decoding.presence_penalty,
                top_k=decoding.top_k,
                min_p=decoding.min_p,
                repetition_penalty=decoding.repetition_penalty,
            )
            for start in range(0, len(request.seeds), step)
        ]


def _text(drawn: Generation | GenerationFailure, prompt_tokens: int) -> Text | GenerationFailure:
    if isinstance(drawn, GenerationFailure):
        return drawn
    truncated = drawn.stop == "length"
    return Text(drawn.text, len(drawn.token_ids), drawn.token_ids, truncated, prompt_tokens)


def _texts(request: ChatRequest, answer: ChatAnswer | ChatFailure) -> list[Text | GenerationFailure]:
    """One text a choice; of several, an endpoint tells only the sum of the tokens: they share it evenly."""
    if isinstance(answer, ChatFailure):
        return [GenerationFailure(answer.cause)] * request.n
    each, rest = divmod(answer.completion_tokens, request.n)
    return [
        Text(
            choice.text,
            each + (index < rest),
            truncated=choice.truncated,
            prompt_tokens=0 if index else answer.prompt_tokens,
        )
        for index, choice in enumerate(answer.choices)
    ]
