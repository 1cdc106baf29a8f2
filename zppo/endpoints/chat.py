"""One request to a chat endpoint and its answer, as values and as JSON."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, Field, JsonValue, ValidationError

from schemas.config.endpoints import EndpointAccess


@dataclass(frozen=True)
class ChatRequest:
    """One user message, to be answered `n` times."""

    id: str
    """Names the request in errors, and to the server as `X-Request-Id`: the same for all its attempts."""
    prompt: str
    temperature: float
    max_tokens: int
    """Of each response."""
    seed: int | None = None
    n: int = 1
    enable_thinking: bool | None = None
    """Passed to the model's chat template where it is set; vLLM and SGLang know the field."""
    top_p: float = 1.0
    """This and the next are part of the API everywhere; each is sent where it changes something."""
    presence_penalty: float = 0.0
    top_k: int = 0
    """This and the next two are extensions that vLLM, SGLang and llama.cpp know, sent likewise."""
    min_p: float = 0.0
    repetition_penalty: float = 1.0

    @property
    def most_tokens(self) -> int:
        """A bound of what it can use: a byte-level token is a byte or more; with room for a template."""
        return len(self.prompt.encode()) + 64 + self.n * self.max_tokens


@dataclass(frozen=True)
class Choice:
    """One response."""

    text: str
    truncated: bool
    """Cut off at the limit."""


@dataclass(frozen=True)
class ChatAnswer:
    """All responses to one request."""

    choices: tuple[Choice, ...]
    prompt_tokens: int
    completion_tokens: int
    """Of all choices together, as the endpoint counts them."""


@dataclass(frozen=True)
class ChatFailure:
    """A request that the endpoint could not answer although others are answered."""

    cause: str


def body(request: ChatRequest, model: str, access: EndpointAccess) -> dict[str, JsonValue]:
    """The JSON of a request."""
    content: dict[str, JsonValue] = {
        "model": model,
        "messages": [{"role": "user", "content": request.prompt}],
        "temperature": request.temperature,
        access.length_field: request.max_tokens,
    }
    content |= {name: value for name, (value, neutral) in _restrictions(request).items() if value != neutral}
    if access.send_seeds and request.seed is not None:
        content["seed"] = request.seed
    if request.n > 1:
        content["n"] = request.n
    if request.enable_thinking is not None:
        content["chat_template_kwargs"] = {"enable_thinking": request.enable_thinking}
    return content


def _restrictions(request: ChatRequest) -> dict[str, tuple[float, float]]:
    """What bends the distribution beside the temperature, each with the value at which it does nothing."""
    return {
        "top_p": (request.top_p, 1.0),
        "presence_penalty": (request.presence_penalty, 0.0),
        "top_k": (request.top_k, 0),
        "min_p": (request.min_p, 0.0),
        "repetition_penalty": (request.repetition_penalty, 1.0),
    }


def parse(text: str, request: ChatRequest) -> ChatAnswer:
    """The answer in a response body.

    Raises:
        ValueError: It is no chat completion with usage and all the choices asked for.
    """
    try:
        completion = _Completion.model_validate_json(text)
    except ValidationError as error:
        detail = error.errors()[0]
        place = ".".join(map(str, detail["loc"]))
        raise ValueError(f"{place}: {detail['msg']}" if place else detail["msg"]) from None
    if len(completion.choices) != request.n:
        raise ValueError(f"expected {request.n} choices, got {len(completion.choices)}")
    return ChatAnswer(
        choices=tuple(
            Choice(choice.message.content or "", choice.finish_reason == "length")
            for choice in sorted(completion.choices, key=lambda choice: choice.index)
        ),
        prompt_tokens=completion.usage.prompt_tokens,
        completion_tokens=completion.usage.completion_tokens,
    )


@dataclass(frozen=True)
class ServerMessage:
    """What a server says of an error."""

    text: str
    code: str


def server_message(text: str) -> ServerMessage:
    """The message in an error body: OpenAI's form, or the beginning of whatever came."""
    try:
        error = _ErrorBody.model_validate_json(text).error
    except ValueError:
        return ServerMessage(" ".join(text.split())[:300] or "no message", "")
    return ServerMessage(error.message[:300], str(error.code or error.type or ""))


class _Message(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str | None = None


class _Choice(BaseModel):
    index: int = 0
    message: _Message
    finish_reason: str


class _Usage(BaseModel):
    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)


class _Completion(BaseModel):
    """What is read of a chat completion; other fields are left alone."""

    choices: list[_Choice]
    usage: _Usage


class _Error(BaseModel):
    message: str
    code: str | int | None = None
    type: str | None = None


class _ErrorBody(BaseModel):
    error: _Error
