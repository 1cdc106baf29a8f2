"""A full and a read-only disk in every stage of a run, met by what the stage really writes.

One run is hit at one commit after the other: each process of it ends with an error, the disk is set right,
and the next process goes on.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from unittest.mock import patch

import pytest
from mlflow.tracking import MlflowClient

from schemas.manifest import Identity
from tests.faults.conftest import Finished
from tests.pipelines import NAME, differences, recipe, results, run_without_prefect
from zppo.errors import StoreError
from zppo.layout import RunPaths
from zppo.stores.local import LocalStore, Staging

PATHS = RunPaths(NAME)
PLACES = (
    PATHS.manifest,
    "store/prepare/*",
    "store/precompute/*",
    PATHS.checkpoint(0),
    PATHS.base,
    PATHS.collect(1),
    PATHS.update(1),
    PATHS.checkpoint(2),
    PATHS.collect(3),
    "store/answers/*",
    PATHS.evaluation,
    PATHS.promotion,
    PATHS.summary,
)
"""Of the commits that are hit, in the order in which a run comes to them."""
DISK = "64m"


def fill(disk: Path) -> Callable[[], None]:
    """Leave not one block."""
    filler = disk / "filler"
    with filler.open("wb") as file, suppress(OSError):  # "No space left"
        while True:
            os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), 4096)
    return filler.unlink


def make_read_only(disk: Path) -> Callable[[], None]:
    """Hide the disk behind a view of itself that cannot be written: files that are open stay as they are."""
    _mount("--bind", str(disk), str(disk))
    _mount("-o", "remount,bind,ro", str(disk))
    return lambda: _unmount(disk)


@dataclass(frozen=True)
class Fault:
    """What befalls a disk."""

    spoil: Callable[[Path], Callable[[], None]]
    """Spoils it; what it returns sets it right."""
    remedy: str
    """What the error says of it."""


FULL = Fault(fill, r"the disk is full \(.*free some space.* run the same command again")
READ_ONLY = Fault(make_read_only, r".*\. Make the directory writable .* run the same command again")


@dataclass(frozen=True)
class Life:
    """A process that met the fault."""

    error: str
    lost: set[str]
    """Artifacts that were committed before it and are damaged or gone after it."""


@dataclass(frozen=True)
class Story:
    """A run that met the fault in every place, and came to its end."""

    fault: Fault
    home: Path
    lives: dict[str, Life]
    """By the place that was hit."""


@pytest.fixture(
    scope="module",
    params=[pytest.param(FULL, id="full"), pytest.param(READ_ONLY, id="read-only")],
)
def story(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path
) -> Iterator[Story]:
    home = tmp_path_factory.mktemp("disk")
    with _small_disk(home):
        shutil.copy(mlflow_database, home / "mlflow.db")
        lives = {place: _live(home, place, request.param) for place in PLACES}
        run_without_prefect(recipe(home), home)
        yield Story(request.param, home, lives)


def _live(home: Path, place: str, fault: Fault) -> Life:
    """Run until the fault in a place ends it."""
    before: set[str] = set()
    commit = LocalStore.commit
    with ExitStack() as repair:

        @contextmanager
        def spoiled(
            store: LocalStore, path: str, identity: Identity, begun: float | None = None
        ) -> Iterator[Staging]:
            with commit(store, path, identity, begun) as staging:
                if PurePosixPath(path).match(place):
                    before.update(_artifacts(home))
                    repair.callback(fault.spoil(home))
                yield staging

        with patch.object(LocalStore, "commit", spoiled), pytest.raises(StoreError) as raised:
            run_without_prefect(recipe(home), home)
    return Life(str(raised.value), {path for path in before if not _is_whole(home, path)})


def _artifacts(home: Path) -> set[str]:
    found = (file for folder in (NAME, "store") for file in (home / folder).rglob("manifest.json"))
    return {file.parent.relative_to(home).as_posix() for file in found}


def _is_whole(home: Path, path: str) -> bool:
    try:
        LocalStore(home).verify(path)
    except StoreError:
        return False
    return True


@contextmanager
def _small_disk(directory: Path) -> Iterator[None]:
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("mounting needs root")
    try:
        _mount("-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(directory))
    except subprocess.CalledProcessError as error:
        pytest.skip(f"cannot mount here: {error.stderr.strip()}")
    try:
        yield
    finally:
        _unmount(directory)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], capture_output=True, text=True, check=True)


def _unmount(directory: Path) -> None:
    # MLflow keeps its database open until the process ends.
    subprocess.run(["umount", "--lazy", str(directory)], check=True)


@pytest.mark.parametrize("place", PLACES)
def test_a_disk_that_cannot_be_written_ends_a_stage_with_its_place_and_a_remedy_and_loses_nothing(
    story: Story, place: str
) -> None:
    life = story.lives[place]
    written = rf"cannot write {re.escape(str(story.home))}/\S+: "
    assert re.match(written + story.fault.remedy, life.error)
    assert life.lost == set()


def test_the_run_that_met_it_everywhere_ends_as_one_that_met_it_nowhere(
    story: Story, undisturbed: Finished
) -> None:
    assert differences(results(story.home), undisturbed.results) == []
    assert list((story.home / "tmp").iterdir()) == []


def test_a_disk_that_fills_while_a_version_is_copied_ends_the_run_and_the_next_process_completes_it(
    tmp_path: Path, mlflow_database: Path, undisturbed: Finished
) -> None:
    log_artifact, copied = MlflowClient.log_artifact, list[str]()

    def filling(client: MlflowClient, run_id: str, file: str, folder: str) -> None:
        copied.append(file)
        if len(copied) == 2:
            repair.callback(fill(tmp_path))
        log_artifact(client, run_id, file, folder)

    with _small_disk(tmp_path):
        shutil.copy(mlflow_database, tmp_path / "mlflow.db")
        with (
            ExitStack() as repair,
            patch.object(MlflowClient, "log_artifact", filling),
            pytest.raises(
                StoreError, match=r"registering a version of .*: the disk is full .*free some space"
            ),
        ):
            run_without_prefect(recipe(tmp_path), tmp_path)
        assert len(copied) == 2
        run_without_prefect(recipe(tmp_path), tmp_path)
        assert differences(results(tmp_path), undisturbed.results) == []
