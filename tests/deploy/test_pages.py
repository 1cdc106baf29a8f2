"""The pages of Prefect and MLflow in Chromium: what a night left there, the Retry button; three minutes."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow.tracking import MlflowClient

from tests.deploy.composed import Composed
from tests.deploy.nights import MODEL, ROUNDS, Night
from tests.deploy.waiting import wait_for
from tests.pipelines import RECIPE
from zppo.layout import RunPaths
from zppo.stores.local import MANIFEST, LocalStore

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(3600)]
PATIENCE = 600_000
"""Milliseconds that a page may take on a loaded machine."""
PRESSED = RunPaths("pressed")
Open = Callable[[str, str], Any]


@pytest.fixture
def open_page(browser: Any, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Any:
    """Opens an address and waits for a text on it; keeps a picture of the page in the end."""
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(PATIENCE)

    def open_(address: str, text: str) -> Any:
        page.goto(address)
        page.get_by_text(text).first.wait_for()
        return page

    yield open_
    pictures = Path(os.environ.get("SCREENSHOTS") or tmp_path_factory.mktemp("pages"))
    page.screenshot(path=pictures / f"{request.node.name}.png")
    page.close()


def _prefect(place: Composed, path: str) -> str:
    return f"{place.api.removesuffix('/api')}/{path}"


def _text(page: Any) -> str:
    return str(page.locator("body").inner_text())


def _shows(page: Any, *texts: str) -> None:
    """Wait until a page shows all of these."""
    for text in texts:
        page.get_by_text(text).first.wait_for()


@pytest.fixture
def place(compose_night: Night) -> Composed:
    assert isinstance(compose_night.place, Composed)
    return compose_night.place


def test_the_page_of_the_night_shows_its_state_and_its_artifacts(
    place: Composed, compose_night: Night, open_page: Open
) -> None:
    page = open_page(_prefect(place, f"runs/flow-run/{compose_night.first['id']}"), "Artifacts")
    _shows(page, "Completed")
    page.get_by_text("Artifacts", exact=True).first.click()
    _shows(page, "DECISION", "SUMMARY", "LINKS", "NIGHTLY")


def test_the_page_of_the_training_shows_its_progress_and_its_rounds(
    place: Composed, compose_night: Night, open_page: Open
) -> None:
    trained = place.runs_of("train")[-1]["id"]
    rounds = place.artifacts_of(trained)["rounds"]["id"]
    page = open_page(
        _prefect(place, f"artifacts/artifact/{rounds}"), f"The last rounds of {compose_night.name}"
    )
    _shows(page, "held out")
    assert str(ROUNDS) in _text(page)
    progress = place.artifacts_of(trained)["progress"]["id"]
    done = f"of {ROUNDS}: {ROUNDS} done"
    open_page(_prefect(place, f"artifacts/artifact/{progress}"), done)


def test_the_page_of_the_decision_shows_every_gate_and_its_evidence(
    place: Composed, compose_night: Night, open_page: Open
) -> None:
    decision = place.artifacts_of(compose_night.first["id"])["decision"]["id"]
    page = open_page(_prefect(place, f"artifacts/artifact/{decision}"), "the challenger replaces the base")
    said = _text(page)
    for gate in ("gain", "interval", "source_loss", "truncated", "no_answer", "contamination"):
        assert gate in said
    assert f"models:/{MODEL}/1 is the champion now" in said


def test_the_link_on_prefect_s_page_opens_the_run_in_mlflow_with_its_metrics(
    place: Composed, compose_night: Night, open_page: Open
) -> None:
    links = place.artifacts_of(compose_night.first["id"])["links"]["data"]
    address = links.partition("](")[2].partition(")")[0]
    page = open_page(address, compose_night.name)
    page.get_by_text("Model metrics", exact=True).first.click()
    for metric in ("plain/accuracy", "validation/accuracy"):
        page.get_by_placeholder("Search metric charts").fill(metric)
        _shows(page, f"({metric})")
        page.locator("svg.main-svg").first.wait_for()  # the curve is drawn


def test_the_page_of_the_registry_shows_the_champion(place: Composed, open_page: Open) -> None:
    page = open_page(f"{place.mlflow}/#/models/{MODEL}", MODEL)
    _shows(page, "champion", "Version 1")
    client = MlflowClient(tracking_uri=place.mlflow, registry_uri=place.mlflow)
    assert client.get_model_version_by_alias(MODEL, "champion").version in (1, "1")


def _kill_the_process(place: Composed) -> None:
    """Kill the training's process in its second round; its worker lives."""
    file = place.home / PRESSED.collect(2) / MANIFEST
    wait_for("the second round", lambda: file.exists() or None, pause=0.01)
    for each in psutil.Process(place.workers["gpu"].pid).children(recursive=True):
        each.kill()


def _press_retry(page: Any) -> list[str]:
    """As a person does it; what the page sends."""
    sent: list[str] = []
    page.on("request", lambda each: sent.append(each.post_data) if "set_state" in each.url else None)
    page.get_by_role("button", name="Retry").click()
    page.get_by_role("dialog").get_by_role("button", name="Retry").click()
    page.get_by_role("dialog").wait_for(state="hidden")
    return sent


def _sampled(place: Composed) -> str:
    found = LocalStore(place.home).read(PRESSED.collect(2))
    return found.model_dump_json() if found else "nothing"


def test_the_retry_button_goes_on_at_the_first_round_that_was_not_committed(
    place: Composed, open_page: Open
) -> None:
    flow_run = place.start("train", {"config": RECIPE, "name": PRESSED.name})
    _kill_the_process(place)
    assert place.end_of(flow_run)["type"] == "CRASHED"
    before = _sampled(place)
    page = open_page(_prefect(place, f"runs/flow-run/{flow_run}"), "Crashed")
    sent = _press_retry(page)
    assert any("AwaitingRetry" in each for each in sent), sent
    place.taken_up(flow_run, "gpu")
    ended = place.end_of(flow_run)
    assert ended["type"] == "COMPLETED", ended["message"] + place.said()
    assert _sampled(place) == before
    said = (place.logs / "gpu.txt").read_text()
    assert "pressed: reuses data, teacher pool and round 1; goes on with the update of round 2" in said
    _shows(page, "Completed")
