"""The engines that sample responses and write texts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from schemas.config.models import DecodingConfig
from schemas.rollout import StopReason


@dataclass(frozen=True)
class GenerationRequest:
    """One prompt to answer `len(seeds)` times; its prefill is shared."""

    id: str
    prompt_ids: tuple[int, ...]
    seeds: tuple[int, ...]
    """One seed a response: the same seed on the same weights gives the same tokens, whatever else
    is in the batch."""
    prefix_ids: tuple[int, ...] = ()
    """Tokens that every response starts with. They count towards the response's limit and are part of
    its text, but not of the tokens drawn."""


@dataclass(frozen=True)
class Generation:
    """One sampled response, not graded yet."""

    text: str
    """From the start of the response, a forced prefix included."""
    token_ids: tuple[int, ...]
    """As drawn, the end-of-sequence token included."""
    logprobs: tuple[float, ...]
    """Of each token under the sampling policy: at the sampling temperature, before any truncation."""
    stop: StopReason


@dataclass(frozen=True)
class GenerationFailure:
    """A response that the engine could not draw."""

    cause: str


Finished = Callable[[int, tuple[Generation | GenerationFailure, ...]], None]
"""Told of a request once all of its responses are there: its place among the requests, and they."""


class RolloutEngine(Protocol):
    """Samples responses of one model."""

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of a user message inside the chat template, ready to be answered."""
        ...

    def tokenize(self, text: str) -> tuple[int, ...]:
        """Token ids of bare text, without a chat template."""
        ...

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        decoding: DecodingConfig,
        finished: Finished | None = None,
    ) -> list[tuple[Generation | GenerationFailure, ...]]:
        """One tuple a request, one response a seed, both in the order asked.

        `finished` is told of each request once, in the calling thread, as early as the engine knows; it
        must return at once.
        """
        ...


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
    prompt_tokens: int = 0
    """Of its prompt, where that was read for this text; 0 where several texts share one reading, but for the
    first of them."""


class TextModel(Protocol):
    """Writes texts for texts: what responses, summaries, hints and verdicts are drawn from."""

    def write(
        self, requests: Sequence[TextRequest], max_tokens: int
    ) -> list[tuple[Text | GenerationFailure, ...]]:
        """One tuple a request, one text of at most `max_tokens` a seed, both in the order asked."""
        ...
