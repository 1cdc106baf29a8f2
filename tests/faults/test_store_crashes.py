"""SIGKILL at every point of every change that the store makes."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import crash_points
from tests.faults.crash_points import FILE, IDENTITY, LINKED, PATH
from zppo.stores.local import LocalStore


def _homes(directory: Path, change: str) -> list[Path]:
    """One home for each crash point, as the killed process left it; the last one was not killed."""
    result = subprocess.run(
        [sys.executable, "-m", crash_points.__name__, str(directory), change],
        cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True, check=True, timeout=120,
    )  # fmt: skip
    points = int(result.stdout)
    assert points >= 6
    return [directory / str(point) for point in range(points + 1)]


def _whole(store: LocalStore, path: str = PATH) -> bool:
    """Whether the artifact is there; if so, every file of it is intact."""
    if store.read(path) is None:
        assert not (store.home / path).exists()
        return False
    assert [file.path for file in store.verify(path).files] == ["deep/rollouts.bin", "round.json"]
    return True


@pytest.fixture(scope="module")
def commits(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return _homes(tmp_path_factory.mktemp("commit"), "commit")


def test_a_killed_commit_leaves_nothing_or_the_whole_artifact(commits: list[Path]) -> None:
    there = [_whole(LocalStore(home)) for home in commits]
    assert there == sorted(there), "once visible, an artifact stays visible at every later point"
    assert not there[0]
    assert there[-1]


def test_after_a_killed_commit_the_same_commit_succeeds_and_clears_the_leftovers(commits: list[Path]) -> None:
    for home in commits:
        store = LocalStore(home)
        crash_points.commit(store)
        assert _whole(store)
        assert list((home / "tmp").iterdir()) == []
        assert store.find(PATH, IDENTITY) == store.read(PATH)


def test_a_killed_removal_leaves_the_whole_artifact_or_nothing(tmp_path: Path) -> None:
    there = [_whole(LocalStore(home)) for home in _homes(tmp_path, "remove")]
    assert there == sorted(there, reverse=True)
    assert there[0]
    assert not there[-1]


def test_a_killed_link_leaves_nothing_or_the_whole_artifact_and_the_source_as_it_was(tmp_path: Path) -> None:
    homes = _homes(tmp_path, "link")
    there = [_whole(LocalStore(home), LINKED) for home in homes]
    assert there == sorted(there)
    assert not there[0]
    assert there[-1]
    assert all(_whole(LocalStore(home)) for home in homes)
    for home in homes:
        store = LocalStore(home)
        store.link(PATH, LINKED)
        assert _whole(store, LINKED)
        store.sweep()
        assert list((home / "tmp").iterdir()) == []


def test_a_killed_write_leaves_the_old_or_the_new_content(tmp_path: Path) -> None:
    found = [(home / FILE).read_bytes() for home in _homes(tmp_path, "write_file")]
    old, new = b"old" * 1000, b"new" * 1000
    assert set(found) == {old, new}
    assert [content == new for content in found] == sorted(content == new for content in found)
