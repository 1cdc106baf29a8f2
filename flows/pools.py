"""The pipeline over work pools: stages that need a GPU are handed to their deployments, whole.

One hop a stage, none a round. The run is let go while another process works on it, and the store tells each
what the others have committed.
"""

import time
from typing import Literal
from uuid import UUID

from prefect import flow, runtime
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.deployments import run_deployment

from flows.outages import patiently
from flows.stages import ask_teacher, conclude, evaluate_models, opened, prepare_data
from flows.stages import evaluate as evaluate_flow
from flows.stages import promote as promote_flow
from flows.stages import train as train_flow
from schemas.base import Name
from schemas.config.run import RunConfig
from schemas.config.teacher import ModelTeacher
from zppo.errors import ZppoError
from zppo.wiring.promote import require_approval

Handed = Literal["train", "evaluate"]
_FLOWS = {"train": train_flow.name, "evaluate": evaluate_flow.name}
CRASHES = 3
"""Processes of one handed stage that may die: each goes on where the last one stopped, so that more of them
would say that the stage kills them."""
LOOK_SECONDS = 5.0
"""Between two looks at a handed stage."""


@flow(name="zppo-pipeline", flow_run_name="{name}")
def pipeline(
    config: RunConfig, name: Name, handed: tuple[Handed, ...] = ("train",), ask: bool = False
) -> None:
    """From the data to the champion.

    Args:
        config: The recipe.
        name: Of the run.
        handed: Stages that their own deployments do, in the pool that those are deployed to. A teacher
            model's responses are drawn by the training.
        ask: Leave the promotion to a flow run of its own, which waits for somebody to approve it. A run that
            was asked about once is not promoted unasked, however it is resumed.
    """
    run_over_pools(config, name, handed, ask)


def run_over_pools(config: RunConfig, name: str, handed: tuple[Handed, ...], ask: bool = False) -> None:
    """The stages in order, here or handed on."""
    with opened(config, name, tagged=False) as run:
        if ask:
            require_approval(run)
        prepare_data(run)
        if not ("train" in handed and isinstance(config.teacher, ModelTeacher)):
            ask_teacher(run)
    if "train" in handed:
        hand("train", {"config": config.model_dump(mode="json"), "name": name})
    else:
        train_flow(config, name)
    if "evaluate" in handed:
        hand("evaluate", {"name": name})
    with opened(config, name, tagged=False) as run:
        if "evaluate" not in handed:
            evaluate_models(run)
        outcome = conclude(run)
    if outcome.waits:
        _ask(name)


def hand(stage: Handed, parameters: dict[str, object]) -> None:
    """Have a stage's deployment do it, again where its process dies, and wait for its end.

    A flow run that is tried again waits for the one that its earlier try has handed on.

    Raises:
        ZppoError: The stage failed or was cancelled, or too many of its processes died.
    """
    crashes = attempt = 0
    while True:
        attempt += 1
        child = _start(stage, parameters, attempt)
        before = _is_over(child)
        child = _wait(child.id)
        assert child.state is not None, "a flow run that is over has a state"
        if child.state.type is StateType.COMPLETED:
            return
        if before:
            continue  # of an earlier try
        if child.state.type is not StateType.CRASHED:
            raise ZppoError(f"the flow run {child.name!r} ended as {child.state.name}: {child.state.message}")
        crashes += 1
        if crashes == CRASHES:
            raise ZppoError(
                f"{crashes} processes of the flow run {child.name!r} died in turn, the last one with: "
                f"{child.state.message}. Look at its worker's log and at the memory of its machine, then "
                "retry this flow run: what is committed stays"
            )


def _ask(name: str) -> None:
    """Start the promotion of a run, which somebody has to approve; nobody waits for it."""
    parameters = {"name": name, "ask": True}
    key = f"{runtime.flow_run.id}/promote"

    def start() -> None:
        run_deployment(
            f"{promote_flow.name}/promote",
            parameters=parameters,
            timeout=0,
            as_subflow=False,
            idempotency_key=key,
        )

    patiently(start)


def _start(stage: Handed, parameters: dict[str, object], attempt: int) -> FlowRun:
    """A flow run of the stage's deployment: always the same one for the same attempt of this flow run."""
    key = f"{runtime.flow_run.id}/{stage}/{attempt}"
    name = f"{_FLOWS[stage]}/{stage}"

    def start() -> FlowRun:
        created = run_deployment(name, parameters=parameters, timeout=0, as_subflow=True, idempotency_key=key)
        assert isinstance(created, FlowRun)
        return created

    return patiently(start)


def _wait(flow_run: UUID) -> FlowRun:
    """The flow run once it is over; a server that is away is waited for."""
    while True:
        found = patiently(lambda: _read(flow_run))
        if _is_over(found):
            return found
        time.sleep(LOOK_SECONDS)


def _read(flow_run: UUID) -> FlowRun:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(flow_run)


def _is_over(flow_run: FlowRun) -> bool:
    return flow_run.state is not None and flow_run.state.is_final()
