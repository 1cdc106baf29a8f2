"""A night of both kinds of installation; each takes four minutes on two cores."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from mlflow.tracking import MlflowClient

from tests.deploy.installation import installed
from tests.deploy.nights import MODEL, ROUNDS, SETTINGS, Night, spend_night
from zppo.layout import RunPaths
from zppo.runs import run_names, status
from zppo.stores.local import LocalStore

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module", params=["sqlite", "compose"])
def night(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path
) -> Iterator[Night]:
    """On SQLite and local files; and on all that `compose.yaml` has."""
    if request.param == "compose":
        yield request.getfixturevalue("compose_night")
        return
    home, logs = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("logs")
    (home / "mlflow.db").write_bytes(mlflow_database.read_bytes())
    with installed(home, logs) as place:
        yield spend_night(place)


def _trainings(night: Night) -> list[Any]:
    """The flow runs that trained its run."""
    return [each for each in night.place.runs_of("train") if each["parameters"]["name"] == night.name]


def test_a_schedule_starts_a_run_that_is_named_by_its_date_and_says_what_it_starts_from(night: Night) -> None:
    assert night.name == f"nightly-{night.first['expected_start_time'][:10]}"
    assert night.first["auto_scheduled"]
    assert night.ended["message"].startswith(f"{night.name} starts from pocket/student ("), night.ended


def test_the_flow_run_of_a_machine_that_died_in_an_update_is_found_and_handed_on_again(night: Night) -> None:
    assert night.killed_in_update
    assert night.repaired == [f"Marked as crashed: train {night.name}"]
    states = [each["state"]["type"] for each in _trainings(night)]
    assert states == ["CRASHED", "COMPLETED"]


def test_training_is_one_flow_run_of_the_gpu_pool_and_a_child_of_the_night(night: Night) -> None:
    for each in _trainings(night):
        parent = night.place.get(f"task_runs/{each['parent_task_run_id']}")
        assert (each["work_pool_name"], parent["flow_run_id"]) == ("gpu", night.first["id"])


def test_every_round_is_committed_once_and_nothing_is_left_over(night: Night) -> None:
    store = LocalStore(night.place.home)
    assert len(store.committed(RunPaths(night.name).rounds + "/00001")) == 2
    assert all(store.read(RunPaths(night.name).update(index)) for index in range(1, ROUNDS + 1))
    assert store.read(RunPaths(night.name).update(ROUNDS + 1)) is None


def test_the_pages_show_progress_rounds_links_decision_and_summary(night: Night) -> None:
    pages = night.place.artifacts_of(night.first["id"])
    assert {"nightly", "links", "decision", "summary"} <= pages.keys()
    assert f"{night.place.mlflow}/#/runs/" in pages["links"]["data"]
    trained = night.place.artifacts_of(_trainings(night)[-1]["id"])
    assert {"progress", "rounds", "links"} <= trained.keys()
    assert float(trained["progress"]["data"]) == 100.0


def test_the_gates_made_a_champion_with_its_lineage_and_its_evidence(night: Night) -> None:
    client = MlflowClient(tracking_uri=night.place.mlflow, registry_uri=night.place.mlflow)
    champion = client.get_model_version_by_alias(MODEL, "champion")
    store, tags = LocalStore(night.place.home), champion.tags
    evaluation = store.read(RunPaths(night.name).evaluation)
    assert evaluation is not None
    assert (tags["zppo.run"], tags["zppo.decision"]) == (night.name, "passed")
    assert tags["zppo.champion.00001"].startswith("promotion: the challenger replaces the base")
    assert tags["zppo.gate.interval"].startswith("passed: ")
    assert tags["zppo.evaluation_fingerprint"] == evaluation.fingerprint
    run = client.get_run(str(champion.run_id))
    assert (run.info.status, run.info.run_name) == ("FINISHED", night.name)
    steps = [each.step for each in client.get_metric_history(run.info.run_id, "plain/accuracy")]
    assert steps == list(range(1, ROUNDS + 1))


def test_the_tracking_server_answers_to_its_own_name_alone(night: Night) -> None:
    url = f"{night.place.mlflow}/api/2.0/mlflow/experiments/search?max_results=1"
    assert httpx.get(url).status_code == 200
    assert httpx.get(url, headers={"Host": "elsewhere.example"}).status_code == 403


def test_a_night_without_new_data_ends_early_and_says_so(night: Night) -> None:
    assert (night.again["type"], night.again["name"]) == ("COMPLETED", "Unchanged"), night.again
    assert night.name in night.again["message"]
    assert len(_trainings(night)) == 2


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
