"""Flow runs whose process was killed: Prefect shows them as running until somebody corrects it."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from prefect import runtime, tags
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.context import TagsContext
from prefect.states import Crashed

from flows.outages import patiently

_SEEM_ALIVE = [StateType.PENDING, StateType.RUNNING]
_MESSAGE = "its process was killed; a later one goes on with the run"


@contextmanager
def tagged(directory: Path) -> Iterator[None]:
    """Tag the flow runs started in the block with the machine and the directory that they work on."""
    with tags(place(directory)):
        yield


def untagged() -> TagsContext:
    """A block whose tasks do not inherit their flow run's tag: each tag costs a task a call to the server."""
    return TagsContext()


def mark_crashed(directory: Path) -> None:
    """Mark the earlier flow runs of a directory, and their tasks, as crashed where they seem to be running.

    The caller holds the directory, so that none on this machine can be alive; those of other machines,
    which may be, are left as they are, and so are those whose process is still to start. The calling flow
    run gets the tag that tells them apart, as one that a worker started has none, and tasks of an earlier
    try of it are marked too.
    """

    def mark() -> None:
        with get_client(sync_client=True) as client:
            mine = UUID(runtime.flow_run.id)
            _tag(client, mine, place(directory))
            for flow_run in _seem_alive(client, place(directory)):
                mark_tasks(client, flow_run)
                if flow_run != mine:
                    client.set_flow_run_state(flow_run, _crashed(), force=True)

    patiently(mark)


def place(directory: Path) -> str:
    """The tag of the flow runs that work on a directory of this machine."""
    return f"{socket.gethostname()}:{directory.absolute()}"


def _tag(client: SyncPrefectClient, flow_run: UUID, tag: str) -> None:
    known = client.read_flow_run(flow_run).tags
    if tag not in known:
        client.update_flow_run(flow_run, tags=[*known, tag])


def _seem_alive(client: SyncPrefectClient, tag: str) -> list[UUID]:
    found = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            tags=FlowRunFilterTags(all_=[tag]),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_SEEM_ALIVE)),
        )
    )
    return [each.id for each in found if not _is_awaited(each)]


def _is_awaited(flow_run: FlowRun) -> bool:
    """Whether a worker is about to start its process: one that was suspended goes on in this way."""
    return flow_run.deployment_id is not None and flow_run.state_type is StateType.PENDING


def mark_tasks(client: SyncPrefectClient, flow_run: UUID) -> None:
    """Mark the tasks of a flow run that seem to be running; the caller has started none yet."""
    running = TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=_SEEM_ALIVE)))
    of = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run]))
    for task_run in client.read_task_runs(flow_run_filter=of, task_run_filter=running):
        client.set_task_run_state(task_run.id, _crashed(), force=True)


def _crashed() -> State[object]:
    return Crashed(message=_MESSAGE)
