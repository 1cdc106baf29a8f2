"""One command that brings a Prefect server up to what `deployments/` says: pools, deployments, automations.

Repeating it changes nothing. What people have switched stays as it is: a pool that is there keeps its type
and its pause, an automation and a schedule their switch; and what schedules somebody has added stay.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from anyio import run
from prefect.automations import Automation
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.client.schemas.objects import DeploymentSchedule
from prefect.exceptions import ObjectNotFound
from prefect.workers.utilities import get_default_base_job_template_for_infrastructure_type

CPU, GPU = "cpu", "gpu"
"""The work pools."""
_OURS = FlowFilter(name=FlowFilterName(like_="zppo-"))
"""A server may have other people's deployments, too."""


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
        known = {each.name: each.schedules for each in client.read_deployments(flow_filter=_OURS)}
    apply_deployments(merged(yaml.safe_load((folder / "prefect.yaml").read_text()), known))
    with get_client(sync_client=True) as client:
        for file in sorted((folder / "automations").glob("*.yaml")):
            apply_automation(client, yaml.safe_load(file.read_text()))


def merged(content: Mapping[str, Any], known: Mapping[str, Sequence[DeploymentSchedule]]) -> dict[str, Any]:
    """The content of `prefect.yaml`, with what people have made of the schedules on the server.

    Prefect takes what a file says for all that there is: it would undo what people have switched, and remove
    what they have added.

    Args:
        content: Of the file.
        known: The server's schedules, by the name of their deployment.
    """
    deployments = [
        {**each, "schedules": _schedules(each.get("schedules", ()), known.get(each["name"], ()))}
        for each in content["deployments"]
    ]
    return {**content, "deployments": deployments}


def _schedules(
    wanted: Sequence[Mapping[str, Any]], there: Sequence[DeploymentSchedule]
) -> list[dict[str, Any]]:
    """Those of the file as they are switched on the server, then those that only the server has."""
    ours = {each["slug"] for each in wanted}
    switches = {each.slug: each.active for each in there}
    kept = [{**each, "active": switches.get(each["slug"], each["active"])} for each in wanted]
    return kept + [_as_written(each) for each in there if each.slug not in ours]


def _as_written(schedule: DeploymentSchedule) -> dict[str, Any]:
    """A server's schedule as `prefect.yaml` has it."""
    when = schedule.schedule.model_dump(mode="json", exclude_none=True)
    named = {"slug": schedule.slug} if schedule.slug else {}
    return {**when, **named, "active": schedule.active, "parameters": schedule.parameters}


def apply_deployments(content: Mapping[str, Any]) -> None:
    """Have Prefect make or change all deployments of a `prefect.yaml`."""
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file"]
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "prefect.yaml"
        file.write_text(yaml.safe_dump(content, sort_keys=False))
        subprocess.run([*command, str(file)], env=os.environ, check=True)


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
