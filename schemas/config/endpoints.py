"""OpenAI-compatible chat endpoints: how this machine reaches them, and what they cost."""

import re
from typing import Literal
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, field_validator

from schemas.base import Config

_KEY_REFERENCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|prefect-secret:[a-z0-9][a-z0-9-]*")


class Prices(Config):
    """What a provider charges; the recipe's, so that the cost of a run can be stated."""

    input_per_million: float = Field(ge=0.0)
    """For a million prompt tokens."""
    output_per_million: float = Field(ge=0.0)
    """For a million response tokens."""
    currency: str = Field(default="USD", min_length=1, max_length=12)


class EndpointAccess(Config):
    """How to reach one endpoint, and how much of it may be used. None of it makes another run."""

    model_config = ConfigDict(hide_input_in_errors=True)

    url: str
    """Base address; requests go to `<url>/chat/completions`, such as `http://localhost:8000/v1`."""
    api_key: str | None = None
    """Where the key is, never the key: `env:NAME` (an environment variable) or `prefect-secret:BLOCK`."""
    concurrency: int = Field(default=32, ge=1, le=4096)
    """Requests in flight at most."""
    requests_per_minute: int | None = Field(default=None, ge=1)
    """Requests are spread evenly below this rate; none: as fast as `concurrency` lets them."""
    tokens_per_minute: int | None = Field(default=None, ge=1)
    """Likewise, of prompts and responses together."""
    timeout_seconds: float = Field(default=600.0, gt=0.0)
    """For one attempt, from its start to the last byte of the answer."""
    retries: int = Field(default=8, ge=0)
    """Further attempts after rate limits, server errors, time-outs, lost connections, damaged answers."""
    budget_tokens: int | None = Field(default=None, ge=1)
    """Tokens of prompts and responses that this run may use; work stops before it would use more."""
    budget_money: float | None = Field(default=None, gt=0.0)
    """Likewise, in the currency of the recipe's prices, which it needs."""
    length_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """What the server calls the limit of a response."""
    send_seeds: bool = True
    """Send a seed with each request; off for servers that refuse the field."""
    send_extensions: bool = True
    """Send `top_k`, `min_p` and `repetition_penalty` where the recipe's `evaluation.decoding` has them: vLLM,
    SGLang and llama.cpp know them. Off for servers that refuse them, such as OpenAI's own: the teacher then
    answers the held-out questions without them, and the evaluation says so."""

    @field_validator("url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("expected an address such as http://localhost:8000/v1")
        if parts.username or parts.password or parts.query:
            raise ValueError("the address holds a password or a query: name the key in api_key (env:NAME)")
        return url.rstrip("/").removesuffix("/chat/completions")

    @field_validator("api_key")
    @classmethod
    def _is_reference(cls, reference: str | None) -> str | None:
        if reference is not None and not _KEY_REFERENCE.fullmatch(reference):
            raise ValueError(
                "expected where the key is, 'env:NAME' or 'prefect-secret:BLOCK', never the key itself"
            )
        return reference


class EndpointsConfig(Config):
    """The endpoints that this machine may use, by their part in a run."""

    teacher: EndpointAccess | None = None
    """Of a recipe with `teacher.type: endpoint`."""
    judge: EndpointAccess | None = None
    """Of a recipe with `judge.type: endpoint`; may be the same address as the teacher's."""
