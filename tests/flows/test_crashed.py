"""Flow runs that a SIGKILL left as running, beside others that are alive."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest
from prefect import flow, task
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Pending, Running, Suspended

from flows.crashed import mark_crashed, place
from tests.prefect_servers import given_server


@dataclass(frozen=True)
class Started:
    """A flow run with a task, both running."""

    flow_run: UUID
    task_run: UUID


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, prefect_database: Path) -> Iterator[SyncPrefectClient]:
    home = tmp_path_factory.mktemp("home")
    (home / "prefect").mkdir()
    (home / "prefect" / "prefect.db").write_bytes(prefect_database.read_bytes())
    with (
        given_server(home) as api,
        temporary_settings(updates={PREFECT_API_URL: api}),
        get_client(sync_client=True) as client,
    ):
        yield client


@task
def work() -> None:
    """Never called."""


@flow(name="resumed")
def resumed(directory: Path) -> None:
    """What a run does first."""
    mark_crashed(directory)


def start(client: SyncPrefectClient, tag: str) -> Started:
    flow_run = client.create_flow_run(resumed, parameters={"directory": "."}, tags=[tag], state=Running())
    task_run = client.create_task_run(work, flow_run.id, dynamic_key="0", state=Running())
    return Started(flow_run.id, task_run.id)


def states(client: SyncPrefectClient, started: Started) -> tuple[str, str]:
    flow_state = client.read_flow_run(started.flow_run).state
    task_state = client.read_task_run(started.task_run).state
    assert flow_state is not None
    assert task_state is not None
    return flow_state.type.value, task_state.type.value


def test_a_killed_flow_run_and_its_tasks_are_marked_and_no_other_is_touched(
    client: SyncPrefectClient, tmp_path: Path
) -> None:
    directory = tmp_path / "runs" / "tiny"
    killed = start(client, place(directory))
    elsewhere = start(client, f"another-host:{directory}")
    other_run = start(client, place(directory.with_name("tiny2")))
    other_home = start(client, place(tmp_path / "tiny"))
    resumed(directory)
    assert states(client, killed) == ("CRASHED", "CRASHED")
    for alive in (elsewhere, other_run, other_home):
        assert states(client, alive) == ("RUNNING", "RUNNING")


def test_a_flow_run_that_was_suspended_and_waits_for_its_process_is_not_taken_for_dead(
    client: SyncPrefectClient, tmp_path: Path
) -> None:
    deployment = client.create_deployment(client.create_flow(resumed), "promotion")
    waiting = client.create_flow_run_from_deployment(deployment, tags=[place(tmp_path)], state=Running()).id
    client.set_flow_run_state(waiting, Suspended(timeout_seconds=600))
    client.resume_flow_run(waiting)
    client.set_flow_run_state(waiting, Pending())  # as a worker does before it starts a process
    resumed(tmp_path)
    state = client.read_flow_run(waiting).state
    assert state is not None
    assert state.is_pending()
    client.set_flow_run_state(waiting, Running())
    resumed(tmp_path)
    state = client.read_flow_run(waiting).state
    assert state is not None
    assert state.is_crashed(), "its process can be no other than one that was killed"


def test_a_flow_run_without_a_tag_gets_the_one_by_which_it_is_found_later(
    client: SyncPrefectClient, tmp_path: Path
) -> None:
    state = resumed(tmp_path, return_state=True)
    assert state.is_completed()
    assert state.state_details.flow_run_id is not None
    assert client.read_flow_run(state.state_details.flow_run_id).tags == [place(tmp_path)]
