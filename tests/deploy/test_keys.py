"""The runbook's rotation of a key of the teacher's endpoint, in the middle of a flow run; two minutes."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml
from prefect.blocks.system import Secret
from prefect.settings import PREFECT_API_URL, temporary_settings

from tests.deploy.installation import Installation
from tests.endpoint_servers import Asked, ChatServer, Fault, chat_server
from tests.pipelines import RECIPE
from zppo.machine import MACHINE_FILE

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(1200)]
OLD, NEW = "sk-old-0123456789", "sk-new-0123456789"
ANSWERED = 10
"""Answers after which the provider takes the old key no more."""
BLOCK, VARIABLE = "rotated-key", "TEACHER_KEY"


@dataclass
class Provider:
    """An endpoint that revokes a key at work."""

    accepted: str = OLD
    answered: list[str] = field(default_factory=list)

    def refuse(self, asked: Asked) -> Fault | None:
        """Whether a request has the key that counts."""
        return None if asked.headers.get("authorization") == f"bearer {self.accepted}" else "401"

    def reply(self, asked: Asked) -> str:
        """An answer; the last one with the old key revokes it."""
        self.answered.append(asked.prompt)
        if len(self.answered) == ANSWERED:
            self.accepted = NEW
        return r"\boxed{ 3 }"


@pytest.fixture
def provider() -> Iterator[tuple[Provider, ChatServer]]:
    provider = Provider()
    with chat_server(ChatServer(reply=provider.reply, fault=provider.refuse)) as server:
        yield provider, server


def _keep(place: Installation, reference: str, key: str) -> None:
    """Put a key where the machine file says that it is, as the runbook tells for each kind."""
    if reference.startswith("prefect-secret:"):
        with temporary_settings(updates={PREFECT_API_URL: place.api}):
            Secret(value=key).save(BLOCK, overwrite=True)
    else:
        place.stop_worker("gpu")
        place.start_worker("gpu", **{VARIABLE: key})


@pytest.mark.parametrize("reference", [f"prefect-secret:{BLOCK}", f"env:{VARIABLE}"])
def test_a_flow_run_whose_key_was_revoked_fails_and_its_retry_goes_on_with_the_new_one(
    place: Installation, provider: tuple[Provider, ChatServer], reference: str
) -> None:
    kind = reference.partition(":")[0]
    access = {"url": provider[1].url, "api_key": reference, "concurrency": 1, "retries": 1}
    machine = place.home / MACHINE_FILE
    machine.write_text(yaml.safe_dump({"endpoints": {"teacher": access}}))
    teacher: dict[str, Any] = {"type": "endpoint", "model": "m", "revision": kind, "templates": "pocket"}
    config = {**RECIPE, "teacher": {**teacher, "max_response_tokens": 16}}
    try:
        _keep(place, reference, OLD)
        flow_run = place.start("precompute", {"config": config, "name": f"keyed-by-{kind}"})
        ended = place.end_of(flow_run)
        assert ended["type"] == "FAILED", ended
        assert "401" in ended["message"]
        assert len(provider[0].answered) == ANSWERED
        _keep(place, reference, NEW)
        retry = {"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}}
        place.ask(f"flow_runs/{flow_run}/set_state", retry)
        place.taken_up(flow_run, "gpu")
        ended = place.end_of(flow_run)
        assert ended["type"] == "COMPLETED", ended["message"] + place.said()
    finally:
        machine.unlink()
    answered = provider[0].answered
    assert len(answered) > ANSWERED
    shown = place.said() + str(place.ask("logs/filter", {})) + str(place.get(f"flow_runs/{flow_run}"))
    assert OLD not in shown
    assert NEW not in shown
