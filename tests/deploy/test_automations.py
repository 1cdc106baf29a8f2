"""Automations that tell people, from the events of flow runs; a minute and a half on two cores."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from tests.deploy.installation import Installation
from tests.deploy.waiting import wait_for

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(1800)]


def _running(place: Installation, deployment: str, name: str) -> str:
    """A flow run that is shown as running, without a process; its id."""
    body = {"name": name, "state": {"type": "RUNNING"}}
    path = f"deployments/{place.deployment(deployment)['id']}/create_flow_run"
    return str(place.ask(path, body)["id"])


def _end(place: Installation, flow_run: str, kind: str, message: str) -> None:
    state = {"state": {"type": kind, "message": message}, "force": True}
    assert place.ask(f"flow_runs/{flow_run}/set_state", state)["status"] == "ACCEPT"


def _heartbeat(place: Installation, deployment: str, flow_run: str) -> None:
    """As a flow run's process sends it."""
    flow = place.get(f"flows/{place.deployment(deployment)['flow_id']}")
    related = {
        "prefect.resource.id": f"prefect.flow.{flow['id']}",
        "prefect.resource.role": "flow",
        "prefect.resource.name": flow["name"],
    }
    event: dict[str, Any] = {
        "id": str(uuid4()),
        "occurred": datetime.now(UTC).isoformat(),
        "event": "prefect.flow-run.heartbeat",
        "resource": {"prefect.resource.id": f"prefect.flow-run.{flow_run}"},
        "related": [related],
        "payload": {},
    }
    place.send("POST", "events", [event])


def test_people_are_told_of_an_evaluation_that_failed(place: Installation) -> None:
    _end(place, _running(place, "evaluate-model", "evaluate champion"), "FAILED", "there is no champion yet")
    (text,) = wait_for("word of it", lambda: place.told("An evaluation failed") or None)
    assert text == "evaluate champion: there is no champion yet"


def test_people_are_told_of_a_flow_run_that_gives_no_sign_of_life_and_of_no_other(
    place: Installation,
) -> None:
    place.switch_on("zppo-stuck-run", within=30)
    ended, stuck = (_running(place, "prepare", name) for name in ("ended", "stuck"))
    _end(place, ended, "COMPLETED", "it was short")
    for flow_run in (ended, stuck):  # that of the one that has ended comes late
        _heartbeat(place, "prepare", flow_run)

    def both() -> dict[str, str] | None:
        started = {each["parameters"].get("running"): str(each["id"]) for each in place.runs_of("notify")}
        names = {each: f"prefect.flow-run.{each}" for each in (ended, stuck)}
        found = {each: started[name] for each, name in names.items() if name in started}
        return found if len(found) == len(names) else None

    said = {each: place.end_of(told)["message"] for each, told in wait_for("word of both", both).items()}
    assert said[ended].endswith("does not run any more")
    assert f"prefect.flow-run.{stuck} gives no sign of life" in said[stuck]
    _end(place, stuck, "CRASHED", "as `repair` would say")
