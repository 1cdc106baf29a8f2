"""What keeps an installation in order: what nothing needs is removed, and what is dead is shown as dead."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated
from uuid import UUID

from prefect import flow, runtime
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.events.filters import EventFilter, EventNameFilter, EventOccurredFilter, EventResourceFilter
from prefect.states import Crashed
from pydantic import Field

from flows.artifacts import show_note
from flows.crashed import mark_tasks
from flows.stages import machine
from zppo.display import removed_text, waste_text
from zppo.stores.locks import holder
from zppo.wiring.gc import find_waste, remove_waste

HEARTBEAT = "prefect.flow-run.heartbeat"
SILENCE_SECONDS = 180
"""Without a sign of life for so long, a flow run is dead; `prefect.yaml` asks for one every 30 s."""


@flow(name="zppo-collect-garbage")
def collect_garbage(remove: bool = False) -> None:
    """Show what nothing needs any more, and remove it where asked.

    Args:
        remove: Otherwise it is only shown.
    """
    home = machine().home
    found = find_waste(home)
    text = waste_text(found)
    if remove and found.waste:
        text = f"{text}\n\n{removed_text(remove_waste(home, found))}"
    show_note("garbage", text)


@flow(name="zppo-repair")
def repair(silence_seconds: Annotated[int, Field(ge=60)] = SILENCE_SECONDS) -> list[str]:
    """Mark as crashed what seems to run and is dead: what waits for it goes on then, and so does its pool.

    Dead is a flow run that has given no heartbeat for a while and whose run, as far as its tag tells, no
    process holds. Either sign of life saves it, since one that cannot reach Prefect goes on by itself.

    Args:
        silence_seconds: Longest time between two heartbeats of a flow run that lives.

    Returns:
        Names of the flow runs that were dead.
    """
    home = machine().home
    with get_client(sync_client=True) as client:
        dead = [each for each in _running(client) if _is_dead(client, each, home, silence_seconds)]
        for each in dead:
            mark_tasks(client, each.id)
            message = (
                f"its process gave no sign of life for {silence_seconds} s and nobody holds its run; what is "
                "committed stays. Start its worker again if it is gone; a pipeline that waits for this flow "
                "run hands its stage on again; any other flow run is retried from its page"
            )
            client.set_flow_run_state(each.id, Crashed(message=message), force=True)
    names = [each.name for each in dead]
    show_note("repair", f"Marked as crashed: {', '.join(names)}" if names else "Nothing was stuck.")
    return names


def _running(client: SyncPrefectClient) -> list[FlowRun]:
    """All others that seem to be running."""
    state = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING]))
    mine = UUID(runtime.flow_run.id)
    return [
        each for each in client.read_flow_runs(flow_run_filter=FlowRunFilter(state=state)) if each.id != mine
    ]


def _is_dead(client: SyncPrefectClient, flow_run: FlowRun, home: Path, silence_seconds: int) -> bool:
    since = datetime.now(UTC) - timedelta(seconds=silence_seconds)
    begun = flow_run.state.timestamp if flow_run.state else None
    if begun is None or begun > since or _is_held(flow_run, home):
        return False
    heartbeats = EventFilter(
        event=EventNameFilter(name=[HEARTBEAT]),
        resource=EventResourceFilter(id=[f"prefect.flow-run.{flow_run.id}"]),
        occurred=EventOccurredFilter(since=since),
    )
    return not client.read_events(heartbeats, limit=1).events


def _is_held(flow_run: FlowRun, home: Path) -> bool:
    """Whether a process holds the run whose directory the flow run is tagged with, on any machine."""
    names = {tag.rpartition("/")[2] for tag in flow_run.tags}
    return any(name and holder(home / name) is not None for name in names)
