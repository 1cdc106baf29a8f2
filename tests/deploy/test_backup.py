"""What the runbook says of backups, tried on an installation at work; two minutes on two cores."""

import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from schemas.config.run import Runtime
from tests.deploy.conftest import Trained
from tests.deploy.installation import Installation, installed
from zppo.runs import status
from zppo.stores.local import MANIFEST, LocalStore
from zppo.stores.locks import LOCK_FILE
from zppo.wiring.pull import pull

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(1200)]
DATABASES = ("mlflow.db", "prefect/prefect.db")
STORE = ("store", "weak", "strong")
ARTIFACTS = "served"


def _back_up(home: Path, copy: Path) -> None:
    """The databases first, then what they refer to, while the servers are up."""
    for name in DATABASES:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(home / name)) as source, closing(sqlite3.connect(copy / name)) as target:
            source.backup(target)
    for name in (ARTIFACTS, *STORE):
        subprocess.run(["cp", "--archive", home / name, copy / name], check=True)


@pytest.fixture(scope="module")
def restored(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Servers on the copy of an installation with a champion, deployed to again."""
    place, copy, logs = trained.place, tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("copy-logs")
    ended = place.end_of(place.start("promote", {"name": "strong", "force": "to have a champion"}))
    assert ended["type"] == "COMPLETED", ended["message"] + place.said()
    _back_up(place.home, copy)
    with installed(copy, logs) as again:
        yield again


def test_a_restored_store_has_every_artifact_whole(restored: Installation, trained: Trained) -> None:
    store = LocalStore(restored.home)
    found = sorted(
        file.parent.relative_to(restored.home).as_posix() for file in restored.home.rglob(MANIFEST)
    )
    assert len(found) > 10
    for path in found:
        store.verify(path)
    for name in ("weak", "strong"):
        assert (restored.home / name / LOCK_FILE).exists()
        assert status(restored.home, name) == status(trained.place.home, name)


def test_the_champion_of_before_is_pulled_from_the_restored_registry(
    restored: Installation, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    champions = [
        MlflowClient(tracking_uri=url, registry_uri=url).get_model_version_by_alias("shop", "champion")
        for url in (trained.place.mlflow, restored.mlflow)
    ]
    assert champions[0].tags == champions[1].tags
    monkeypatch.setenv("MLFLOW_TRACKING_URI", restored.mlflow)
    pulled = pull(Runtime(home=restored.home), "champion", "shop", tmp_path / "student")
    assert pulled.version.version == int(champions[0].version)
    assert (pulled.directory / "model.safetensors").exists()


def test_prefect_shows_what_it_showed_and_deployments_keep_their_ids(
    restored: Installation, trained: Trained
) -> None:
    assert [each["id"] for each in restored.runs_of("train")] == [
        each["id"] for each in trained.place.runs_of("train")
    ]
    assert restored.deployment("train")["id"] == trained.place.deployment("train")["id"]
