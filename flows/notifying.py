"""Word to people: a line to any address that Apprise knows, where the worker's environment names one."""

import os
from typing import Any
from uuid import UUID

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.states import Completed

from zppo.errors import ZppoError

ADDRESS = "ZPPO_NOTIFY_URL"
"""Environment of a worker: an Apprise URL, such as `mailto://…` or `slack://…`. It may hold a password, hence
its place in the environment rather than in Prefect's database."""
UNSENT = "Unsent"
"""Name of the state of a flow run that has told nobody."""


@flow(name="zppo-notify")
def notify(title: str, text: str, running: str | None = None) -> State[Any]:
    """Send a line, or say in the flow run's state why nobody is told.

    Args:
        title: Of the message.
        text: The message.
        running: A flow run as events name it, `prefect.flow-run.ID`: the line holds only while that one runs.
            Events come out of order, so that a trigger that waits for a sign of life can miss the last one.

    Raises:
        ZppoError: The address takes no message.
    """
    if running and not _runs(running):
        return Completed(name=UNSENT, message=f"{title}: {running} does not run any more")
    address = os.environ.get(ADDRESS)
    if not address:
        why = f"nobody is told: set {ADDRESS} in the worker's environment to an Apprise URL"
        return Completed(name=UNSENT, message=f"{title}: {text}\n{why}")
    from apprise import Apprise

    told = Apprise()
    if not told.add(address) or not told.notify(body=text, title=title):
        raise ZppoError(
            f"the address in {ADDRESS} took no message; expected a URL as Apprise documents them, of "
            "somebody who answers"
        )
    return Completed(message=f"{title}: {text}")


def _runs(resource: str) -> bool:
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(UUID(resource.rpartition(".")[2])).state
    return state is not None and state.is_running()
