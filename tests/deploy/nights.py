"""A night of an installation: a schedule fires, a machine dies in an update, a champion is made of it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.deploy.installation import Installation
from tests.deploy.waiting import wait_for
from zppo.layout import RunPaths
from zppo.recipes import load_recipe
from zppo.stores.local import MANIFEST

ROUNDS = 50
KILLED_IN = 2
"""The round in whose update the machine dies."""
SETTINGS = load_recipe(
    "pocket",
    (
        f"rounds={ROUNDS}",
        "data.sources.0.count=900",
        "data.sources.1.count=100",
        "data.validation_questions=50",
        "data.test_questions=250",
        "evaluation.samples=2",
        "learner.learning_rate=3e-4",
        "checkpoints.every=10",
        "promotion.registered_model=night",
    ),
).model_dump(mode="json")
"""Long enough for the gates."""
MODEL = "night"
SILENCE = 90


@dataclass(frozen=True)
class Night:
    """What an installation did."""

    place: Installation
    name: str
    """Of the run."""
    killed_in_update: bool
    """Whether the machine died after the rollouts of a round and before its update was committed."""
    first: Any
    """Flow run that the schedule has started."""
    ended: Any
    """Its last state."""
    repaired: list[str]
    again: Any
    """State of the flow run on unchanged data."""


def spend_night(place: Installation) -> Night:
    """Let a schedule fire, kill the machine of the gpu pool, and see the night to its end."""
    parameters = {"config": SETTINGS, "start": "champion"}
    try:
        place.start_worker("cpu")
        place.start_worker("gpu")
        _schedule(place, parameters)
        name, killed_in_update = _kill_in_the_middle_of_an_update(place)
        place.start_worker("gpu")
        repaired = _repair(place)
        (first, *_) = [each for each in place.runs_of("nightly") if each["start_time"]]
        ended = place.end_of(first["id"])
        assert ended["type"] == "COMPLETED", ended
        again = place.end_of(place.start("nightly", parameters))
    except BaseException:
        print(place.said())
        raise
    return Night(place, name, killed_in_update, first, ended, repaired, again)


def _schedule(place: Installation, parameters: dict[str, Any]) -> None:
    """Let the nightly run fire in some seconds."""
    anchor = datetime.now(UTC) + timedelta(seconds=15)
    schedule = {"interval": 86400.0, "anchor_date": anchor.isoformat(), "timezone": "UTC"}
    body = [{"schedule": schedule, "active": True, "parameters": parameters, "slug": "soon"}]
    place.send("POST", f"deployments/{place.deployment('nightly')['id']}/schedules", body)


def _kill_in_the_middle_of_an_update(place: Installation) -> tuple[str, bool]:
    """Kill the gpu worker's machine once a round is sampled; the run, and whether it died in the update."""
    pattern = f"nightly-*/rounds/{KILLED_IN:05d}/collect/{MANIFEST}"
    found = wait_for("the second round", lambda: next(place.home.glob(pattern), None), pause=0.01)
    place.kill_worker("gpu")
    name = found.relative_to(place.home).parts[0]
    return name, not (place.home / RunPaths(name).update(KILLED_IN)).exists()


def _repair(place: Installation) -> list[str]:
    """Repair until it has found the dead one."""

    def found() -> list[str] | None:
        flow_run = place.start("repair", {"silence_seconds": SILENCE})
        assert place.end_of(flow_run)["type"] == "COMPLETED"
        text = place.artifacts_of(flow_run)["repair"]["data"]
        return [text] if "Nothing" not in text else None

    return wait_for("the dead flow run", found, pause=10)
