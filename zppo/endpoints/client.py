"""A client for OpenAI-compatible chat endpoints that loses nothing and sends nothing twice without need.

An endpoint's trouble is one of three things. What passes (rate limits, server errors, time-outs, lost
connections, damaged answers) is tried again, a bounded number of times. What the user must change (key,
address, model, a refused field) ends the work at once. What concerns one request only (a prompt beyond the
context window, answers that stay damaged) is that request's failure.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from random import Random
from types import TracebackType
from typing import Self
from urllib.parse import quote

import anyio
import httpx
from anyio.from_thread import start_blocking_portal
from pydantic import SecretStr

from schemas.config.endpoints import EndpointAccess, Prices
from schemas.spend import Spend
from zppo.endpoints.chat import ChatAnswer, ChatFailure, ChatRequest, body, parse, server_message
from zppo.endpoints.ledger import Ledger
from zppo.endpoints.pace import Gate, Pace, backoff, retry_after
from zppo.errors import EngineError, InputError

PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Statuses that another attempt may not meet; 529 is some providers' "overloaded"."""
ABSENT = frozenset({429, 502, 503, 504, 529})
"""Of those, the ones that say nothing about the request: the endpoint serves nobody."""
LONGEST_WAIT = 900.0
"""Seconds of `Retry-After` that are waited; beyond it the work ends, to be taken up later."""
FAILURES_IN_A_ROW = 16
"""Requests that may fail one after the other, none answered between, before the endpoint is at fault."""


@dataclass(frozen=True)
class Endpoint:
    """One model at one address."""

    role: str
    """Its name under `endpoints`, such as `teacher`."""
    model: str
    access: EndpointAccess
    key: SecretStr | None = None
    prices: Prices | None = None

    def __str__(self) -> str:
        return f"{self.role}'s endpoint {self.access.url} (model {self.model!r})"


class ChatClient:
    """Sends requests to one endpoint, from any thread; a context manager, which holds the connections."""

    def __init__(
        self,
        endpoint: Endpoint,
        spent: Spend | None = None,
        note: Callable[[Spend], None] = lambda more: None,
        jitter: Random | None = None,
        waits: tuple[float, float] = (1.0, 60.0),
    ):
        """Prepare to connect; nothing is sent yet.

        Args:
            endpoint: Where to.
            spent: What earlier sessions of the same work spent; counts towards the budget.
            note: Told of every addition to the spend as soon as it is known, in the client's thread.
            jitter: Randomness of the back-off.
            waits: Seconds: the bound of the first back-off and of the longest.
        """
        self.endpoint = endpoint
        access = endpoint.access
        self._ledger = Ledger(endpoint.role, access, endpoint.prices, spent or Spend(), note)
        self._requests, self._tokens = Pace(access.requests_per_minute), Pace(access.tokens_per_minute)
        self._gate = Gate()
        self._slots = anyio.Semaphore(access.concurrency)
        self._jitter = jitter or Random()
        self._waits = waits
        self._failures = 0

    def __enter__(self) -> Self:
        access, key = self.endpoint.access, self.endpoint.key
        with ExitStack() as stack:
            self._portal = stack.enter_context(start_blocking_portal(name=f"{self.endpoint.role} endpoint"))
            self._http = stack.enter_context(
                self._portal.wrap_async_context_manager(
                    httpx.AsyncClient(
                        headers={"Authorization": f"Bearer {key.get_secret_value()}"} if key else {},
                        timeout=httpx.Timeout(access.timeout_seconds, pool=None),
                        limits=httpx.Limits(max_connections=access.concurrency),
                    )
                )
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect; after an error, what is still in flight is given up."""
        self._stack.__exit__(kind, error, trace)

    @property
    def spent(self) -> Spend:
        """All that was spent, earlier sessions included."""
        return self._ledger.spent

    def complete(self, requests: Sequence[ChatRequest]) -> list[ChatAnswer | ChatFailure]:
        """The answers to all requests, in their order; errors as in `finished`."""
        answers = dict(self.finished(requests))
        return [answers[index] for index in range(len(requests))]

    def finished(self, requests: Sequence[ChatRequest]) -> Iterator[tuple[int, ChatAnswer | ChatFailure]]:
        """Each request's place and its answer, as they come.

        Raises:
            InputError: The endpoint refuses the key, the model, the address or a field.
            EngineError: It serves nobody, or asks to come back much later.
            BudgetReached: The budget does not cover another request; all in flight are answered first.
        """
        tasks = {self._portal.start_task_soon(self._answer, each): i for i, each in enumerate(requests)}
        try:
            for task in as_completed(tasks):
                yield tasks[task], task.result()
        finally:
            for task in tasks:
                task.cancel()

    async def _answer(self, request: ChatRequest) -> ChatAnswer | ChatFailure:
        """One request, within the limits of requests in flight, of tokens and of the budget."""
        async with self._slots, self._ledger.hold(request):
            await self._tokens.take(request.most_tokens)
            answer = await self._attempts(request)
            if isinstance(answer, ChatAnswer):
                self._ledger.answered(answer)
                self._tokens.give_back(request.most_tokens - answer.prompt_tokens - answer.completion_tokens)
        self._failures = self._failures + 1 if isinstance(answer, ChatFailure) else 0
        if isinstance(answer, ChatFailure) and self._failures >= FAILURES_IN_A_ROW:
            raise EngineError(f"{self.endpoint}: {self._failures} requests in a row failed; {answer.cause}")
        return answer

    async def _attempts(self, request: ChatRequest) -> ChatAnswer | ChatFailure:
        attempts = self.endpoint.access.retries + 1
        for attempt in range(1, attempts + 1):
            await self._gate.passed()
            await self._requests.take()
            try:
                return await self._attempt(request)
            except _Trouble as error:
                trouble = error
            self._ledger.unanswered()
            if attempt < attempts:
                await self._wait(attempt, trouble)
        cause = f"request {request.id!r} had no usable answer in {attempts} attempts; the last: {trouble}"
        if trouble.absent:
            raise EngineError(f"{self.endpoint}: {cause}; see that it is up, and give the same command again")
        return ChatFailure(cause)

    async def _wait(self, attempt: int, trouble: "_Trouble") -> None:
        """Before the next attempt: as long as the server asks, everyone; then with back-off, this request."""
        if trouble.wait > LONGEST_WAIT:
            raise EngineError(
                f"{self.endpoint} asks to wait {trouble.wait:,.0f} s ({trouble}); a quota may be used up: "
                "give the same command again later"
            )
        self._gate.close(trouble.wait)
        await anyio.sleep(trouble.wait + backoff(attempt, *self._waits, self._jitter))

    async def _attempt(self, request: ChatRequest) -> ChatAnswer | ChatFailure:
        response = await self._post(request)
        if response.status_code != httpx.codes.OK:
            return self._refused(response)
        try:
            return parse(self._without_key(response.content.decode()), request)
        except ValueError as error:
            raise _Trouble(f"no chat completion: {error}") from None

    async def _post(self, request: ChatRequest) -> httpx.Response:
        access = self.endpoint.access
        try:
            with anyio.fail_after(access.timeout_seconds):
                return await self._http.post(
                    f"{access.url}/chat/completions",
                    json=body(request, self.endpoint.model, access),
                    headers={"X-Request-Id": quote(request.id, safe="/:#")},
                )
        except (TimeoutError, httpx.TimeoutException):
            raise _Trouble(f"no whole answer within {access.timeout_seconds:g} s") from None
        except httpx.ConnectError as error:
            raise _Trouble(f"cannot connect: {error}", absent=True) from None
        except httpx.RequestError as error:
            raise _Trouble(f"the connection was lost: {str(error) or type(error).__name__}") from None

    def _refused(self, response: httpx.Response) -> ChatFailure:
        """What a status other than 200 means; mostly something is raised."""
        status = response.status_code
        message = server_message(self._without_key(response.text))
        said = f"status {status}: {message.text}"
        if status in PASSING and message.code != "insufficient_quota":
            wait = retry_after(response.headers.get("Retry-After"))
            raise _Trouble(said, wait, absent=status in ABSENT)
        if status in (400, 413) and _too_long(message.text, message.code):
            return ChatFailure(said)
        raise InputError(f"{self.endpoint} answered with {said}; {self._remedy(status)}")

    def _remedy(self, status: int) -> str:
        role, key = self.endpoint.role, self.endpoint.access.api_key
        match status:
            case 401 | 403:
                held = f"the key in {key}" if key else "no key was sent: name one"
                return f"check endpoints.{role}.api_key of this machine ({held}), and what it may do"
            case 301 | 302 | 307 | 308 | 404 | 405:
                return f"check endpoints.{role}.url of this machine and {role}.model of the recipe"
            case 402 | 429:
                return "the provider's quota is used up: pay for more, then give the same command again"
            case _:
                return (
                    f"a field may be refused: see {role}.temperature and max_response_tokens of the recipe, "
                    f"send_seeds, send_extensions and length_field in endpoints.{role} of this machine"
                )

    def _without_key(self, text: str) -> str:
        """Text of the server's: some repeat the key in their errors."""
        key = self.endpoint.key
        return text.replace(key.get_secret_value(), "***") if key and key.get_secret_value() else text


class _Trouble(Exception):
    """An attempt gave nothing, and another one may."""

    def __init__(self, cause: str, wait: float = 0.0, absent: bool = False):
        """Keep what is known.

        Args:
            cause: For a reader.
            wait: Seconds that the server asks for.
            absent: The endpoint serves nobody, whatever the request.
        """
        super().__init__(cause)
        self.wait = wait
        self.absent = absent


def _too_long(message: str, code: str) -> bool:
    """Whether a refusal is about one prompt: OpenAI has a code for it, vLLM and llama.cpp only words."""
    text = message.lower()
    return code == "context_length_exceeded" or "context length" in text or "context size" in text
