"""The files of an installation hold together: entrypoints, parameters, environments, what listens where."""

import shutil
import subprocess
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.cli.deploy._schedules import _schedule_config_to_deployment_schedule
from prefect.client.schemas.objects import DeploymentSchedule
from pydantic import TypeAdapter

from flows.deploying import merged
from schemas.config.run import RunConfig
from tests.pipelines import ROOT
from zppo.environment import prepare_environment
from zppo.recipes import load_recipe

FOLDER = ROOT / "deployments"
PREFECT = yaml.safe_load((FOLDER / "prefect.yaml").read_text())
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
DEPLOYMENTS = {each["name"]: each for each in PREFECT["deployments"]}
ONE_SHOT = {"bucket", "deploy"}
SECRETS = ("POSTGRES_PASSWORD", "S3_SECRET_KEY")
LOCAL = {
    "PREFECT_HOME",
    "PREFECT_LOGGING_LEVEL",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL",
    "PREFECT_INTERNAL_LOGGING_LEVEL",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION",
}
"""What only the command line's own servers and its terminal need."""


def test_the_shipped_parameters_are_the_recipe_pocket() -> None:
    assert RunConfig.model_validate(PREFECT["definitions"]["recipe"]) == load_recipe("pocket")


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_deployment_names_a_flow_and_parameters_that_it_takes(name: str) -> None:
    module, _, flow = DEPLOYMENTS[name]["entrypoint"].rpartition(".")
    function = getattr(import_module(module), flow).fn
    hints = function.__annotations__
    for key, value in DEPLOYMENTS[name].get("parameters", {}).items():
        TypeAdapter(hints[key]).validate_python(value)


def test_training_alone_is_handed_to_the_gpu_and_one_waits_for_the_other() -> None:
    limited = DEPLOYMENTS["train"]["concurrency_limit"]
    assert limited == {"limit": 1, "collision_strategy": "ENQUEUE"}
    pools = {name: each["work_pool"]["name"] for name, each in DEPLOYMENTS.items()}
    assert {name for name, pool in pools.items() if pool == "gpu"} == {"train", "precompute"}


def test_only_repair_is_on_before_somebody_switches_a_schedule_on() -> None:
    active = {
        name
        for name, each in DEPLOYMENTS.items()
        if any(schedule["active"] for schedule in each.get("schedules", []))
    }
    assert active == {"repair"}


def _schedule(slug: str | None, active: bool, **when: Any) -> DeploymentSchedule:
    return DeploymentSchedule(schedule=when, active=active, slug=slug, parameters={"a": 1})


def test_a_schedule_stays_as_it_was_switched_and_one_that_somebody_added_stays() -> None:
    there = [
        _schedule("nightly", True, cron="0 9 * * *", timezone="UTC"),
        _schedule(None, True, interval=600, anchor_date="2026-01-01T00:00:00Z", timezone="UTC"),
        _schedule("monday", False, rrule="FREQ=WEEKLY;BYDAY=MO"),
    ]
    again = merged(PREFECT, {"nightly": there, "notify": [], "of somebody else": there})
    before = {each["name"]: each for each in PREFECT["deployments"]}
    after = {each["name"]: each for each in again["deployments"]}
    assert before.keys() == after.keys()
    ours, *added = after["nightly"]["schedules"]
    assert ours == before["nightly"]["schedules"][0] | {"active": True}
    assert ours["cron"] == "0 1 * * *"
    read = [_schedule_config_to_deployment_schedule(each) for each in added]
    assert [each["schedule"] for each in read] == [each.schedule for each in there[1:]]
    assert [each["active"] for each in read] == [True, False]
    assert [each.get("slug") for each in read] == [None, "monday"]
    for name in before.keys() - {"nightly"}:
        assert after[name] == {"schedules": [], **before[name]}


def test_a_worker_s_libraries_are_set_as_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment: dict[str, str] = {}
    monkeypatch.setattr("os.environ", environment)
    prepare_environment(tmp_path)
    for name, each in DEPLOYMENTS.items():
        assert (environment.keys() - LOCAL) <= each["work_pool"]["job_variables"]["env"].keys(), name


def test_automations_are_off_and_start_deployments_that_exist() -> None:
    for file in (FOLDER / "automations").glob("*.yaml"):
        automation = yaml.safe_load(file.read_text())
        assert not automation["enabled"], file
        for action in automation["actions"]:
            assert action["deployment_id"].split("/")[1] in DEPLOYMENTS, file


def test_everything_that_stays_up_says_whether_it_is_well() -> None:
    services = COMPOSE["services"]
    assert {name for name, each in services.items() if "healthcheck" not in each} == ONE_SHOT


def test_nothing_listens_beyond_loopback_unless_asked() -> None:
    ports = [port for each in COMPOSE["services"].values() for port in each.get("ports", [])]
    assert len(ports) == 2
    assert all(port.startswith("${ZPPO_LISTEN:-127.0.0.1}:") for port in ports)


def test_no_secret_stands_in_a_file() -> None:
    for service in COMPOSE["services"].values():
        for name, value in service.get("environment", {}).items():
            assert "PASSWORD" not in name or value.startswith("${"), name
            assert "SECRET" not in name or value.startswith("${"), name


def test_no_command_holds_a_secret_and_no_worker_has_one_of_the_servers() -> None:
    for name, service in COMPOSE["services"].items():
        parts = ["command", *(("environment", "env_file") if name.startswith("worker") else ())]
        said = str([service.get(part) for part in parts])
        assert not any(secret in said for secret in (*SECRETS, "'.env'")), name


def test_every_volume_and_dependency_of_a_service_is_declared() -> None:
    services = COMPOSE["services"]
    for service in services.values():
        assert set(service.get("depends_on", {})) <= services.keys()
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in COMPOSE["volumes"]


def test_workers_have_names_that_stay() -> None:
    names = [COMPOSE["services"][f"worker-{pool}"]["hostname"] for pool in ("cpu", "gpu")]
    assert names == ["zppo-cpu", "zppo-gpu"]


def _manifests() -> Iterator[dict[str, Any]]:
    for file in (FOLDER / "kubernetes").glob("*.yaml"):
        if file.name not in ("kustomization.yaml", "secret.example.yaml"):
            yield from yaml.safe_load_all(file.read_text())


def _pods() -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each["spec"]["template"]["spec"]
            for each in _manifests() if "template" in each.get("spec", {})}  # fmt: skip


def test_every_manifest_is_listed_and_every_listed_one_is_there() -> None:
    listed = yaml.safe_load((FOLDER / "kubernetes" / "kustomization.yaml").read_text())["resources"]
    there = {file.name for file in (FOLDER / "kubernetes").glob("*.yaml")}
    assert set(listed) == there - {"kustomization.yaml", "secret.example.yaml"}


def test_only_the_gpu_worker_asks_for_a_gpu_and_nothing_runs_as_root() -> None:
    asking = set()
    for name, pod in _pods().items():
        assert pod["securityContext"]["runAsNonRoot"], name
        for container in pod["containers"]:
            assert not container["securityContext"]["allowPrivilegeEscalation"], name
            if "nvidia.com/gpu" in container["resources"]["limits"]:
                asking.add(name)
    assert asking == {"worker-gpu"}


def test_both_workers_mount_one_store() -> None:
    claims = {
        name: {volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"]
               if "persistentVolumeClaim" in volume}
        for name, pod in _pods().items() if name.startswith("worker")
    }  # fmt: skip
    assert claims == {"worker-cpu": {"runs"}, "worker-gpu": {"runs"}}


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl")
def test_kubectl_builds_the_manifests() -> None:
    built = subprocess.run(
        ["kubectl", "kustomize", str(FOLDER / "kubernetes")], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    assert len(list(yaml.safe_load_all(built.stdout))) == len(list(_manifests()))


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_the_job_says_what_is_not_set() -> None:
    script = FOLDER / "slurm" / "gpu-worker.sbatch"
    said = subprocess.run(
        ["bash", str(script)], env={"PATH": "/bin"}, capture_output=True, text=True, check=False
    )
    assert (said.returncode, "PREFECT_API_URL is not set" in said.stderr) == (2, True)
