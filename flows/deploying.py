"""One command that brings a Prefect server up to what `deployments/` says: pools, deployments, automations.

Repeating it changes nothing; a pool that is there keeps its type, and an automation its switch.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from anyio import run
from prefect.automations import Automation
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound
from prefect.workers.utilities import get_default_base_job_template_for_infrastructure_type

CPU, GPU = "cpu", "gpu"
"""The work pools."""


def deploy(
    folder: Annotated[Path, typer.Argument(help="Holds prefect.yaml and automations/.")] = Path(
        "deployments"
    ),
    pool_type: Annotated[str, typer.Option(envvar="POOL_TYPE", help="What runs flows.")] = "process",
    gpus: Annotated[int, typer.Option(envvar="GPUS", help="Flow runs that may have a GPU at a time.")] = 1,
) -> None:
    """Apply what is there to the server that PREFECT_API_URL names."""
    with get_client(sync_client=True) as client:
        for pool in (CPU, GPU):
            make_pool(client, pool, pool_type)
        client.update_work_pool(GPU, WorkPoolUpdate(concurrency_limit=gpus))
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    subprocess.run([*command, "--prefect-file", str(folder / "prefect.yaml")], env=os.environ, check=True)
    with get_client(sync_client=True) as client:
        for file in sorted((folder / "automations").glob("*.yaml")):
            apply_automation(client, yaml.safe_load(file.read_text()))


def make_pool(client: SyncPrefectClient, name: str, kind: str) -> None:
    """Make a work pool, unless one of that name is there."""
    try:
        client.read_work_pool(name)
    except ObjectNotFound:
        template = run(get_default_base_job_template_for_infrastructure_type, kind)
        client.create_work_pool(WorkPoolCreate(name=name, type=kind, base_job_template=template or {}))


def apply_automation(client: SyncPrefectClient, content: dict[str, Any]) -> None:
    """Make an automation, or change the one of its name; actions name deployments as `FLOW/DEPLOYMENT`."""
    actions = [
        {**action, "deployment_id": client.read_deployment_by_name(action["deployment_id"]).id}
        for action in content["actions"]
    ]
    wanted = Automation.model_validate({**content, "actions": actions})
    try:
        known = Automation.read(name=wanted.name)
    except ValueError:  # there is none
        wanted.create()
        return
    assert isinstance(known, Automation)
    wanted.model_copy(update={"id": known.id, "enabled": known.enabled}).update()


if __name__ == "__main__":
    typer.run(deploy)
