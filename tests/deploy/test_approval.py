"""Promotions that an event starts and people decide upon; four minutes on two cores."""

from typing import Any

import httpx
import pytest
from mlflow.tracking import MlflowClient

from tests.deploy.conftest import STRONG, Trained
from tests.deploy.installation import Installation
from tests.deploy.waiting import wait_for
from zppo.layout import RunPaths
from zppo.stores.local import LocalStore
from zppo.wiring.champions import champion_moves

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def shop(trained: Trained) -> Installation:
    """Where the weak run is champion since its evaluation started its promotion, and somebody forced it."""
    place = trained.place
    assert place.end_of(place.start("evaluate", {"name": "weak"}))["type"] == "COMPLETED"
    started = wait_for("the promotion", lambda: next(iter(place.runs_of("promote")), None))
    assert started["parameters"] == {"name": "weak", "ask": True}
    ended = place.end_of(started["id"])
    assert "there is no champion; that stays" in ended["message"], ended
    forced = place.end_of(place.start("promote", {"name": "weak", "force": "the first"}))
    assert forced["message"].startswith("models:/shop/1 is the champion now"), forced
    return place


def _champion(place: Installation) -> str:
    client = MlflowClient(tracking_uri=place.mlflow, registry_uri=place.mlflow)
    return str(client.get_model_version_by_alias("shop", "champion").version)


def _tag(place: Installation, version: str) -> str:
    client = MlflowClient(tracking_uri=place.mlflow, registry_uri=place.mlflow)
    return str(client.get_model_version("shop", version).tags["zppo.approval"])


def _asked(place: Installation, flow_run: str) -> None:
    """Return once a flow run waits for an answer, and its form is there, a moment later."""

    def form() -> bool | None:
        state = place.state_of(flow_run)
        if state["name"] != "Suspended":
            return None
        schema = state["state_details"]["run_input_keyset"]["schema"]
        return httpx.get(f"{place.api}/flow_runs/{flow_run}/input/{schema}").is_success or None

    wait_for("the question", form)


def _answer(place: Installation, flow_run: str, answer: dict[str, Any]) -> str:
    """Fill in the form; what the server does with it."""
    return str(place.ask(f"flow_runs/{flow_run}/resume", {"run_input": answer})["status"])


def test_a_pipeline_that_asks_ends_and_a_refusal_is_recorded_and_moves_nothing(shop: Installation) -> None:
    before = {each["id"] for each in shop.runs_of("promote")}
    ended = shop.end_of(shop.start("pipeline", {"config": STRONG, "name": "strong", "ask": True}))
    assert ended["type"] == "COMPLETED", ended["message"] + shop.said()
    (asked,) = [each for each in shop.runs_of("promote") if each["id"] not in before]
    _asked(shop, asked["id"])
    assert (_champion(shop), _tag(shop, "2")) == ("1", "waited for")
    assert (shop.home / RunPaths("strong").approval).exists()
    page = shop.artifacts_of(asked["id"])["decision"]["data"]
    assert "models:/shop/2 against the champion models:/shop/1" in page
    title = "A promotion waits for approval"
    assert wait_for("word of it", lambda: shop.told(title) or None) == [
        "promote strong waits on its page for somebody to approve or refuse it"
    ]

    assert _answer(shop, asked["id"], {"approve": False}) == "REJECT"
    assert _answer(shop, asked["id"], {"approve": False, "reason": "too slow"}) == "ACCEPT"
    ended = shop.end_of(asked["id"])
    assert (ended["type"], ended["name"]) == ("COMPLETED", "Refused")
    assert ended["message"] == "the champion models:/shop/1 stays: refused: too slow"
    assert (_champion(shop), _tag(shop, "2")) == ("1", "refused: too slow")


def test_without_an_answer_in_time_nothing_moves(shop: Installation) -> None:
    asked = shop.start("promote", {"name": "strong", "ask": True, "hours": 0.005})
    ended = shop.end_of(asked)
    assert (ended["type"], "never resumed" in ended["message"]) == ("FAILED", True), ended
    assert (_champion(shop), _tag(shop, "2")) == ("1", "waited for")

    retried = {"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}}
    shop.ask(f"flow_runs/{asked}/set_state", retried)
    _asked(shop, asked)
    assert _answer(shop, asked, {"approve": False, "reason": "still slow"}) == "ACCEPT"
    assert shop.end_of(asked)["name"] == "Refused"


def test_an_approval_moves_the_alias_once_and_its_reason_is_kept(shop: Installation) -> None:
    asked = shop.start("promote", {"name": "strong", "ask": True})
    _asked(shop, asked)
    assert _answer(shop, asked, {"approve": True, "reason": "fast now"}) == "ACCEPT"
    ended = shop.end_of(asked)
    assert ended["message"].startswith("models:/shop/2 is the champion now (before: models:/shop/1"), ended
    assert (_champion(shop), _tag(shop, "2")) == ("2", "approved: fast now")
    last = champion_moves(LocalStore(shop.home), "shop")[-1]
    assert (last.number, last.kind, last.version) == (2, "promotion", "models:/shop/2")
    assert last.decision is not None
    assert last.decision.approval is not None
    assert last.decision.approval.reason == "fast now"
