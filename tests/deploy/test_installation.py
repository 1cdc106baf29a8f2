"""A night of an installation: a schedule fires, a machine dies in an update, a champion is made of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from mlflow.tracking import MlflowClient

from tests.deploy.installation import Installation, installed, wait_for
from tests.pipelines import RECIPE, ROUNDS
from zppo.layout import RunPaths
from zppo.runs import run_names, status
from zppo.stores.local import MANIFEST, LocalStore

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(1800)]

SETTINGS = {**RECIPE, "promotion": {"registered_model": "tiny"}}
SILENCE = 60
WHY = "to have a champion"


@dataclass(frozen=True)
class Night:
    """What an installation did."""

    place: Installation
    name: str
    """Of the run."""
    first: Any
    """Flow run that the schedule has started."""
    repaired: list[str]
    promoted: str
    """Flow run by which a person made a champion of it: five rounds do not pass the gates."""
    again: Any
    """State of the flow run on unchanged data."""


def _schedule(place: Installation, parameters: dict[str, Any]) -> None:
    """Let the nightly run fire in some seconds."""
    anchor = datetime.now(UTC) + timedelta(seconds=15)
    schedule = {"interval": 86400.0, "anchor_date": anchor.isoformat(), "timezone": "UTC"}
    body = [{"schedule": schedule, "active": True, "parameters": parameters, "slug": "soon"}]
    place.send("POST", f"deployments/{place.deployment('nightly')['id']}/schedules", body)


def _kill_in_the_middle_of_an_update(place: Installation) -> str:
    """Kill the gpu worker's machine once the second round is sampled; the name of the run."""
    pattern = f"nightly-*/rounds/00002/collect/{MANIFEST}"
    found = wait_for("the second round", lambda: next(place.home.glob(pattern), None), pause=0.01)
    place.kill_worker("gpu")
    return found.relative_to(place.home).parts[0]


def _repair(place: Installation) -> list[str]:
    """Repair until it has found the dead one."""

    def found() -> list[str] | None:
        flow_run = place.start("repair", {"silence_seconds": SILENCE})
        assert place.end_of(flow_run)["type"] == "COMPLETED"
        text = place.artifacts_of(flow_run)["repair"]["data"]
        return [text] if "Nothing" not in text else None

    return wait_for("the dead flow run", found, pause=10)


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> Iterator[Night]:
    home, logs = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("logs")
    (home / "mlflow.db").write_bytes(mlflow_database.read_bytes())
    parameters = {"config": SETTINGS, "start": "champion"}
    with installed(home, logs) as place:
        try:
            place.start_worker("cpu")
            place.start_worker("gpu")
            _schedule(place, parameters)
            name = _kill_in_the_middle_of_an_update(place)
            place.start_worker("gpu")
            repaired = _repair(place)
            (first, *_) = [each for each in place.runs_of("nightly") if each["start_time"]]
            ended = place.end_of(first["id"])
            assert ended["type"] == "COMPLETED", ended
            promoted = place.start("promote", {"name": name, "force": WHY})
            assert place.end_of(promoted)["type"] == "COMPLETED"
            again = place.end_of(place.start("nightly", parameters))
        except BaseException:
            print(place.said())
            raise
        yield Night(place, name, first, repaired, promoted, again)


def test_a_schedule_starts_a_run_that_is_named_by_its_date_and_says_what_it_starts_from(night: Night) -> None:
    assert night.name == f"nightly-{night.first['expected_start_time'][:10]}"
    assert night.first["auto_scheduled"]
    state = night.place.get(f"flow_runs/{night.first['id']}")["state"]
    assert state["message"].startswith(f"{night.name} starts from pocket/student ("), state


def test_the_flow_run_of_a_dead_machine_is_found_and_handed_on_again(night: Night) -> None:
    assert night.repaired == [f"Marked as crashed: train {night.name}"]
    states = [each["state"]["type"] for each in night.place.runs_of("train")]
    assert states == ["CRASHED", "COMPLETED"]


def test_training_is_one_flow_run_of_the_gpu_pool_and_a_child_of_the_night(night: Night) -> None:
    for each in night.place.runs_of("train"):
        parent = night.place.get(f"task_runs/{each['parent_task_run_id']}")
        assert (each["work_pool_name"], parent["flow_run_id"]) == ("gpu", night.first["id"])


def test_every_round_is_committed_once_and_nothing_is_left_over(night: Night) -> None:
    store = LocalStore(night.place.home)
    assert len(store.committed(RunPaths(night.name).rounds + "/00001")) == 2
    assert all(store.read(RunPaths(night.name).update(index)) for index in range(1, ROUNDS + 1))


def test_the_pages_show_progress_rounds_links_decision_and_summary(night: Night) -> None:
    pages = night.place.artifacts_of(night.first["id"])
    assert {"nightly", "links", "decision", "summary"} <= pages.keys()
    assert f"{night.place.mlflow}/#/runs/" in pages["links"]["data"]
    trained = night.place.artifacts_of(night.place.runs_of("train")[-1]["id"])
    assert {"progress", "rounds", "links"} <= trained.keys()
    assert float(trained["progress"]["data"]) == 100.0


def test_the_champion_is_the_run_s_checkpoint_with_its_lineage_and_its_evidence(night: Night) -> None:
    client = MlflowClient(tracking_uri=night.place.mlflow, registry_uri=night.place.mlflow)
    champion = client.get_model_version_by_alias("tiny", "champion")
    store, tags = LocalStore(night.place.home), champion.tags
    evaluation = store.read(RunPaths(night.name).evaluation)
    assert evaluation is not None
    assert (tags["zppo.run"], tags["zppo.decision"]) == (night.name, "not passed")
    assert tags["zppo.champion.00001"] == f"forced: {WHY}"
    assert tags["zppo.evaluation_fingerprint"] == evaluation.fingerprint
    run = client.get_run(str(champion.run_id))
    assert (run.info.status, run.info.run_name) == ("FINISHED", night.name)


def test_the_tracking_server_answers_to_its_own_name_alone(night: Night) -> None:
    url = f"{night.place.mlflow}/api/2.0/mlflow/experiments/search?max_results=1"
    assert httpx.get(url, headers={"Host": "elsewhere.example"}).status_code == 403


def test_a_night_without_new_data_ends_early_and_says_so(night: Night) -> None:
    assert (night.again["type"], night.again["name"]) == ("COMPLETED", "Unchanged"), night.again
    assert night.name in night.again["message"]
    assert len(night.place.runs_of("train")) == 2


def test_a_recipe_that_is_none_is_refused_when_the_flow_run_is_created(night: Night) -> None:
    with pytest.raises(httpx.HTTPStatusError) as refused:
        night.place.start("pipeline", {"config": {**SETTINGS, "rounds": 0}, "name": "bad"})
    assert refused.value.response.status_code == 409
    assert "rounds" in refused.value.response.text


def test_the_champion_is_evaluated_alone(night: Night) -> None:
    ended = night.place.end_of(night.place.start("evaluate-model", {"config": SETTINGS}))
    assert ended["type"] == "COMPLETED", ended["message"] + night.place.said()
    (name,) = [each for each in run_names(night.place.home) if each.startswith("evaluation-")]
    assert status(night.place.home, name).state == "evaluated"
