"""Reads a server's completion, and takes nothing from it that a model cannot have drawn."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, Field, FiniteFloat, NonNegativeInt, ValidationError

from schemas.rollout import StopReason
from zppo.engines.vllm.faults import ServerFault


@dataclass(frozen=True)
class Drawn:
    """One response as the server drew it."""

    token_ids: tuple[int, ...]
    """The end-of-sequence token included."""
    logprobs: tuple[float, ...]
    stop: StopReason


class _Logprobs(BaseModel):
    token_logprobs: tuple[Annotated[FiniteFloat, Field(le=0.0)], ...]


class _Choice(BaseModel):
    finish_reason: Literal["stop", "length"]
    token_ids: tuple[NonNegativeInt, ...] = Field(min_length=1)
    logprobs: _Logprobs


class _Completion(BaseModel):
    choices: tuple[_Choice] = Field()
    """Exactly one."""


def read_completion(content: bytes, limit: int, eos_ids: Collection[int], vocabulary: int) -> Drawn:
    """The only response of a completion.

    Args:
        content: The server's answer, JSON with `token_ids` and `logprobs.token_logprobs`.
        limit: Most tokens that were asked for.
        eos_ids: Tokens that end a response.
        vocabulary: Token ids are below it.

    Raises:
        ServerFault: It is not such an answer: cut off, another number of responses, tokens without ids or
            log-probabilities, ids that no token has, numbers that are not finite, or an end that does not fit
            the tokens.
    """
    try:
        (choice,) = _Completion.model_validate_json(content).choices
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise ServerFault(f"an answer that is no completion: {where}: {first['msg']}") from error
    token_ids, logprobs = choice.token_ids, choice.logprobs.token_logprobs
    if max(token_ids) >= vocabulary:
        raise ServerFault(f"an answer with token {max(token_ids)}, where the model has {vocabulary} tokens")
    if len(token_ids) != len(logprobs):
        raise ServerFault(f"an answer of {len(token_ids)} tokens with {len(logprobs)} log-probabilities")
    stop: StopReason = "eos" if token_ids[-1] in eos_ids else "length"
    ends_early = any(token in eos_ids for token in token_ids[:-1])
    too_short = stop == "length" and len(token_ids) < limit
    if ends_early or too_short or len(token_ids) > limit:
        raise ServerFault(
            f"an answer of {len(token_ids)} tokens that ends by {choice.finish_reason!r}, where at most "
            f"{limit} were asked for, up to the first end-of-sequence token"
        )
    return Drawn(token_ids, logprobs, stop)
