"""A Prefect server that does not answer: what can wait for it, and what is said when it stays away.

The store is the truth, Prefect only shows. So a run goes on while the server is away; it waits for it where
it starts and where it ends, as long as Prefect's own client would (`PREFECT_CLIENT_MAX_RETRIES`).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import Empty
from typing import TypeVar

import httpx
from prefect.client.orchestration import get_client
from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from flows.programs import ServerError
from zppo.errors import ZppoError
from zppo.progress import Progress

T = TypeVar("T")
WhereItStands = Callable[[], str]
"""Says what is committed, and how to go on."""
ASK_SECONDS = 0.5
"""Between two questions to a server that does not answer."""
_BUSY = (429, 502, 503, 504)
"""A server's status while it cannot answer; Prefect's has 503 for a database that is locked for too long."""


def patience_seconds() -> float:
    """How long Prefect's client waits for a server: its pauses are 2, 4, 8, … s; 62 s by default."""
    return float(2 ** (PREFECT_CLIENT_MAX_RETRIES.value() + 1) - 2)


def patiently(call: Callable[[], T]) -> T:
    """Make a call to Prefect's server, and again while it does not answer, within `patience_seconds`.

    Prefect's own client does so only if it was connected before.
    """
    deadline = time.monotonic() + patience_seconds()
    while True:
        try:
            with asked_once():
                return call()
        except (httpx.TransportError, httpx.HTTPStatusError) as error:
            if not is_away(error) or time.monotonic() >= deadline:
                raise
            time.sleep(ASK_SECONDS)


def is_away(error: httpx.TransportError | httpx.HTTPStatusError) -> bool:
    """Whether a failed call means that the server is down or overloaded, and not that it refuses the call."""
    return not isinstance(error, httpx.HTTPStatusError) or error.response.status_code in _BUSY


@contextmanager
def asked_once() -> Iterator[None]:
    """Let calls to a server that does not answer fail at once; Prefect's client would wait a minute."""
    with temporary_settings(updates={PREFECT_CLIENT_MAX_RETRIES: 0}):
        yield


def wait_for_server() -> None:
    """Return once the server answers."""

    def ask() -> None:
        with get_client(sync_client=True) as client:
            client.hello()

    patiently(ask)


def check_server(url: str) -> None:
    """Raise `ServerError` where the given server at `url` does not answer, before anything is computed."""
    error = get_client(sync_client=True).api_healthcheck()
    if error is not None:
        raise ServerError(
            f"the Prefect server at {_address(url)} does not answer: {error}. Start it, or unset "
            "PREFECT_API_URL: the run then has a server of its own"
        )


class Window:
    """Shows a run on Prefect's page: what the server does not take is superseded by what comes next."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._away = False

    def show(self, call: Callable[[], object]) -> None:
        """Make a call; says so once where the server is away, and once where it is back."""
        try:
            with asked_once():
                call()
        except (httpx.TransportError, httpx.HTTPStatusError) as error:
            if not is_away(error):
                raise
            if not self._away:
                self._progress.say(
                    f"Prefect does not answer at {_address()}; the run goes on without its page"
                )
            self._away = True
        else:
            if self._away:
                self._progress.say("Prefect answers again")
            self._away = False


@contextmanager
def explained(url: str, stands: WhereItStands) -> Iterator[None]:
    """Turn a failed connection to the Prefect server at `url` into an error that says how to go on.

    An error that ended the flow before comes first: Prefect then failed to take note of it.
    """
    try:
        yield
    except (httpx.TransportError, RuntimeError) as error:
        # Prefect's client raises the second from the first where it had no connection before.
        lost = error if isinstance(error, httpx.TransportError) else error.__cause__
        if not isinstance(lost, httpx.TransportError) or lost.request.url.netloc != httpx.URL(url).netloc:
            raise
        forget_what_is_unsent()
        before = _ended_by(error)
        if before is not None:
            raise before from None
        raise ServerError(
            f"the Prefect server at {_address(url)} does not answer: {lost}. {stands()}"
        ) from error


def forget_what_is_unsent() -> None:
    """Drop the events and the log that wait for a dead server: at exit Prefect would try 8 s for each."""
    # The services of all kinds stand in one table.
    for service in list(EventsWorker._instances.values()):  # type: ignore[misc]
        with suppress(Empty):
            while True:
                service._queue.get_nowait()


def _ended_by(error: BaseException) -> ZppoError | None:
    context = error.__context__
    while context is not None and not isinstance(context, ZppoError):
        context = context.__context__
    return context


def _address(url: str | None = None) -> httpx.URL:
    """Where the server is; without the password that its address may hold."""
    return httpx.URL(url or PREFECT_API_URL.value() or "").copy_with(userinfo=b"")
