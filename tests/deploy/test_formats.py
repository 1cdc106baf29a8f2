"""The files of an installation are what the programs that read them expect; seconds."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.compose import FOLDER, content
from tests.deploy.needed import program

pytestmark = pytest.mark.deploy
SECRETS = {"POSTGRES_PASSWORD": "a", "S3_SECRET_KEY": "b"}
COMPOSE_FILES = ("compose.yaml", "compose.gpu.yaml")
MANIFESTS = sorted(
    each for each in (FOLDER / "kubernetes").glob("*.yaml") if each.name != "kustomization.yaml"
)
JOB = FOLDER / "slurm" / "gpu-worker.sbatch"


def _as_compose_reads_it(services: Mapping[str, Any]) -> Any:
    """Parse by the Compose specification, whose extensions begin with `x-`."""
    compose = pytest.importorskip("compose_spec", reason="make test-deploy installs it")
    plain = {key: each for key, each in services.items() if not key.startswith("x-")}
    return compose.PyCompose.from_json(json.dumps(plain))


@pytest.mark.parametrize("name", COMPOSE_FILES)
def test_a_compose_file_is_one_by_the_specification(name: str) -> None:
    assert _as_compose_reads_it(content(name, SECRETS)).services


def test_a_key_that_compose_does_not_know_is_found() -> None:
    wrong = content("compose.yaml", SECRETS)
    wrong["services"]["mlflow"]["healthchek"] = wrong["services"]["mlflow"].pop("healthcheck")
    with pytest.raises(ValueError, match="healthchek"):
        _as_compose_reads_it(wrong)


def test_docker_itself_takes_the_compose_files(tmp_path: Path) -> None:
    asked = ["docker", "compose", "version"]
    if (
        shutil.which("docker") is None
        or subprocess.run(asked, capture_output=True, check=False).returncode != 0
    ):
        pytest.skip("needs the plugin: apt-get install docker-compose-plugin, of Docker's own repository")
    environment = tmp_path / "env"
    environment.write_text("".join(f"{key}={value}\n" for key, value in SECRETS.items()))
    files = [argument for name in COMPOSE_FILES for argument in ("--file", str(FOLDER / name))]
    command = ["docker", "compose", "--env-file", str(environment), *files, "config", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("file", MANIFESTS, ids=lambda file: file.name)
def test_a_manifest_is_one_by_the_schemas_of_kubernetes_without_unknown_fields(file: Path) -> None:
    kubernetes = pytest.importorskip("kubernetes_validate", reason="make test-deploy installs it")
    for each in yaml.safe_load_all(file.read_text()):
        for version in ("1.31", kubernetes.latest_version()):
            kubernetes.validate(each, version, strict=True)


def test_a_field_that_kubernetes_does_not_know_is_found() -> None:
    kubernetes = pytest.importorskip("kubernetes_validate", reason="make test-deploy installs it")
    (workers, *_) = yaml.safe_load_all((FOLDER / "kubernetes" / "workers.yaml").read_text())
    workers["spec"]["template"]["spec"]["toleration"] = []
    with pytest.raises(kubernetes.ValidationError, match="toleration"):
        kubernetes.validate(workers, kubernetes.latest_version(), strict=True)


def test_the_job_s_script_is_sound() -> None:
    for command in (["bash", "-n"], [str(program("shellcheck")), "--shell=bash"]):
        done = subprocess.run([*command, str(JOB)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
