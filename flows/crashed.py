"""Flow runs whose process was killed: Prefect shows them as running until somebody corrects it."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect import runtime, tags
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterName,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import State, StateType
from prefect.states import Crashed


@contextmanager
def tagged(home: Path) -> Iterator[None]:
    """Tag the flow runs started in the block with the machine and the home that they work on."""
    with tags(_place(home)):
        yield


def mark_crashed(name: str, home: Path) -> None:
    """Mark the earlier flow runs of a run as crashed, where they still seem to be running.

    The caller holds the run, so that none of them can be alive.
    """
    seem_alive = FlowRunFilter(
        name=FlowRunFilterName(any_=[name]),
        tags=FlowRunFilterTags(all_=[_place(home)]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING])),
    )
    with get_client(sync_client=True) as client:
        for each in client.read_flow_runs(flow_run_filter=seem_alive):
            if str(each.id) != runtime.flow_run.id:
                ended: State[object] = Crashed(
                    message="its process was killed; a later one goes on with the run"
                )
                client.set_flow_run_state(each.id, ended, force=True)


def _place(home: Path) -> str:
    return f"{socket.gethostname()}:{home.absolute()}"
