"""The runbook on all that `compose.yaml` has: upgrade, rotate a password, back up, restore; six minutes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from tests.deploy.backups import back_up, paused, restore
from tests.deploy.composed import Composed, composed
from tests.deploy.nights import MODEL, Night
from tests.deploy.waiting import wait_for
from zppo.pocket.prompts import TEMPLATES
from zppo.runs import status
from zppo.stores.local import MANIFEST, LocalStore

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(3600)]
LOAD = """
import json, sys
from transformers import AutoModelForCausalLM, AutoTokenizer
place, prompt = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(place)
model = AutoModelForCausalLM.from_pretrained(place)
chat = [{"role": "user", "content": prompt}]
asked = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
answer = model.generate(**asked, max_new_tokens=24, do_sample=False)[0, asked["input_ids"].shape[1]:]
print(json.dumps({"text": tokenizer.decode(answer), "ours": sorted(set(sys.modules) & {"zppo", "schemas"})}))
"""


@dataclass(frozen=True)
class Upgraded:
    """What an installation was like before and after an upgrade."""

    place: Composed
    backup: Path
    password: str
    """The old one, of the database."""
    before: dict[str, Any]
    """Deployments before it, by name."""
    held: tuple[str, str]
    """States of a flow run that was due in the meantime: while the pools were paused, and at the end."""


@pytest.fixture(scope="module")
def upgraded(compose_night: Night, tmp_path_factory: pytest.TempPathFactory) -> Upgraded:
    """As the runbook says; the version is the same, so that the databases have nothing to change."""
    place = compose_night.place
    assert isinstance(place, Composed)
    _switch(place)
    backup, password = tmp_path_factory.mktemp("backup"), place.database.password
    before = {each["name"]: each for each in place.ask("deployments/filter", {})}
    with paused(place):
        due = place.start("collect-garbage", {})
        back_up(place, backup)
        waited = wait_for("it to be late", lambda: _late(place, due))
        place.stop()
        place.database.run("ALTER ROLE zppo PASSWORD 'another1'")
        place.database.password = "another1"
        place.prefect("server", "database", "upgrade", "--yes", service="prefect")
        place.mlflow_upgrade()
        for name in ("prefect", "mlflow"):
            place.start_server(name)
        place.once("deploy")
        for pool in ("cpu", "gpu"):
            place.start_worker(pool)
    return Upgraded(place, backup, password, before, (waited, place.end_of(due)["type"]))


def _late(place: Composed, flow_run: str) -> str | None:
    found = place.state_of(flow_run)
    return str(found["type"]) if found["name"] == "Late" else None


def _switch(place: Composed) -> None:
    """What a person does at Prefect's page: a schedule on, another off, one added, an automation on."""
    for name, slug, active in (("collect-garbage", "weekly", True), ("repair", "every-ten-minutes", False)):
        found = place.deployment(name)
        (schedule,) = [each for each in found["schedules"] if each["slug"] == slug]
        place.send("PATCH", f"deployments/{found['id']}/schedules/{schedule['id']}", {"active": active})
    own = {"schedule": {"cron": "0 3 * * *", "timezone": "Europe/Berlin"}, "active": True}
    place.send("POST", f"deployments/{place.deployment('evaluate-model')['id']}/schedules", [own])
    place.switch_on("zppo-promotion-waiting")


def test_what_is_due_while_the_pools_are_paused_waits_and_runs_after_the_upgrade(upgraded: Upgraded) -> None:
    assert upgraded.held == ("SCHEDULED", "COMPLETED")


def test_deploying_again_keeps_what_people_switched_and_added_and_every_id(upgraded: Upgraded) -> None:
    after = {each["name"]: each for each in upgraded.place.ask("deployments/filter", {})}
    assert {name: each["id"] for name, each in after.items()} == {
        name: each["id"] for name, each in upgraded.before.items()
    }
    same = (
        "parameters",
        "paused",
        "entrypoint",
        "work_pool_name",
        "concurrency_options",
        "enforce_parameter_schema",
    )
    for name, each in after.items():
        assert {key: each[key] for key in same} == {key: upgraded.before[name][key] for key in same}
        assert _schedules(each) == _schedules(upgraded.before[name]), name
    assert ("weekly", True, "0 5 * * 6") in _schedules(after["collect-garbage"])
    assert (None, True, "0 3 * * *") in _schedules(after["evaluate-model"])
    assert [active for _, active, _ in _schedules(after["repair"])] == [False]
    enabled = {each["name"] for each in upgraded.place.ask("automations/filter", {}) if each["enabled"]}
    assert enabled == {"zppo-promotion-waiting"}


def _schedules(deployment: Any) -> list[tuple[str | None, bool, str]]:
    found = [(each["slug"], each["active"], each["schedule"]) for each in deployment["schedules"]]
    return sorted(
        ((slug, active, str(when.get("cron", when.get("interval")))) for slug, active, when in found), key=str
    )


@pytest.mark.parametrize("service", ["prefect", "mlflow", "worker-cpu", "worker-gpu"])
def test_after_an_upgrade_a_service_is_well_by_its_own_health_check(upgraded: Upgraded, service: str) -> None:
    wait_for(f"{service} to be healthy", lambda: upgraded.place.is_well(service) or None)


def test_no_password_stands_in_what_the_processes_print(upgraded: Upgraded) -> None:
    printed = "".join(file.read_text(errors="replace") for file in upgraded.place.logs.glob("*.txt"))
    assert len(printed) > 1000
    for secret in (upgraded.password, upgraded.place.database.password, upgraded.place.secret):
        assert secret not in printed


def test_the_old_password_of_the_database_is_none_any_more(upgraded: Upgraded) -> None:
    import psycopg2

    cluster = upgraded.place.database
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        type(cluster)(cluster.port, upgraded.password).run("SELECT 1")


@pytest.fixture(scope="module")
def restored(upgraded: Upgraded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    """Servers on the backup, in new stores."""
    home, logs = tmp_path_factory.mktemp("restored"), tmp_path_factory.mktemp("restored-logs")
    with composed(home, logs, lambda place: restore(place, upgraded.backup)) as place:
        yield place


def test_a_restored_installation_has_every_artifact_whole_and_the_same_champion(
    restored: Composed, compose_night: Night
) -> None:
    store = LocalStore(restored.home)
    found = sorted(
        each.parent.relative_to(restored.home).as_posix() for each in restored.home.rglob(MANIFEST)
    )
    assert len(found) > 20
    for path in found:
        store.verify(path)
    assert status(restored.home, compose_night.name) == status(compose_night.place.home, compose_night.name)
    champions = [
        MlflowClient(tracking_uri=url, registry_uri=url).get_model_version_by_alias(MODEL, "champion")
        for url in (compose_night.place.mlflow, restored.mlflow)
    ]
    assert champions[0].tags == champions[1].tags
    assert {each["id"] for each in restored.runs_of("train")} == {
        each["id"] for each in compose_night.place.runs_of("train")
    }


def test_the_champion_is_pulled_out_of_the_restored_object_store_and_transformers_loads_it(
    restored: Composed, tmp_path: Path
) -> None:
    to = tmp_path / "champion"
    wanted = ["champion", "--to", str(to), "--model", MODEL, "--home", str(restored.home)]
    _python("-m", "zppo", "pull", *wanted, env=restored.settings, cwd=tmp_path)
    assert "night" in (to / "README.md").read_text()
    prompt = TEMPLATES.render_plain("start 9 +6 *2 +2 mod 19")
    said = json.loads(_python("-I", "-c", LOAD, str(to), prompt, cwd=tmp_path).splitlines()[-1])
    assert said["ours"] == []
    assert said["text"].startswith("<think> 9")
    assert "boxed" in said["text"]


def _python(*arguments: str, **options: Any) -> str:
    """What a program prints."""
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
