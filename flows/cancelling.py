"""Prefect's cancel, pressed on its page, for a flow run that no worker watches."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

import httpx
from prefect import runtime
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, StateType
from prefect.states import Cancelled

from flows.outages import asked_once, is_away

ASK_SECONDS = 5.0
"""Least time between two questions to the server."""
_CANCELLED = (StateType.CANCELLING, StateType.CANCELLED)
_stopped: list[UUID] = []
"""Flow runs of this process that a cancel has stopped."""


@contextmanager
def cancelled_at_the_end() -> Iterator[None]:
    """Give flow runs that a cancel stopped inside their right state; Prefect takes a SIGTERM for a crash."""
    try:
        yield
    finally:
        while _stopped:
            ended: State[object] = Cancelled(message="stopped at a commit; the same command goes on")
            with get_client(sync_client=True) as client:
                client.set_flow_run_state(_stopped.pop(), ended, force=True)


def watch_for_cancel() -> Callable[[], None]:
    """A function to call between commits: where the flow run was cancelled, it ends as on SIGTERM."""
    asked = time.monotonic()

    def check() -> None:
        nonlocal asked
        if time.monotonic() - asked < ASK_SECONDS:
            return
        asked = time.monotonic()
        if _is_cancelled():
            _stopped.append(UUID(runtime.flow_run.id))
            signal.raise_signal(signal.SIGTERM)

    return check


def _is_cancelled() -> bool:
    """What the server says; a server that does not answer says nothing."""
    try:
        with asked_once(), get_client(sync_client=True) as client:
            state = client.read_flow_run(runtime.flow_run.id).state
    except (httpx.TransportError, httpx.HTTPStatusError) as error:
        if not is_away(error):
            raise
        return False
    return state is not None and state.type in _CANCELLED
