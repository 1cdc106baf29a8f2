"""A full disk, a read-only disk and damaged files, each for real."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.faults.conftest import Finished
from zppo.errors import StoreError
from zppo.layout import stage_at
from zppo.stores.identity import identify
from zppo.stores.local import LocalStore
from zppo.stores.locks import exclusive

IDENTITY = identify("collect", {"recipe": {"tau": 0.5}})
PATH = "runs/a/rounds/00001/collect"


def _mount(*arguments: str) -> None:
    result = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        pytest.skip(f"cannot mount here: {result.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("mounting needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    _mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk))
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def _commit(store: LocalStore, size: int) -> None:
    with store.commit(PATH, IDENTITY) as staging:
        (staging.directory / "data").write_bytes(bytes(size))


def test_a_full_disk_says_so_and_leaves_room_for_the_next_attempt(small_disk: Path) -> None:
    store = LocalStore(small_disk)
    with pytest.raises(StoreError, match=r"disk is full.*free some space"):
        _commit(store, 2_000_000)
    assert store.read(PATH) is None
    assert list((small_disk / "tmp").iterdir()) == []
    _commit(store, 500_000)
    store.verify(PATH)


def test_a_disk_that_fills_up_in_a_checkpoint_says_so(small_disk: Path) -> None:
    store = LocalStore(small_disk)
    with pytest.raises(StoreError, match="disk is full"), store.commit(PATH, IDENTITY) as staging:
        save_file({"weight": torch.zeros(1_000_000)}, staging.directory / "model.safetensors")
    assert store.read(PATH) is None


def test_the_manifest_that_no_longer_fits_leaves_nothing(small_disk: Path) -> None:
    store = LocalStore(small_disk)

    def fill_the_disk() -> None:
        with store.commit(PATH, IDENTITY) as staging:
            (staging.directory / "data").write_bytes(b"x")
            with pytest.raises(OSError, match="No space"):
                (small_disk / "filler").write_bytes(bytes(2_000_000))

    with pytest.raises(StoreError, match="disk is full"):
        fill_the_disk()
    assert store.read(PATH) is None


def test_a_read_only_disk_says_so_and_still_reads(small_disk: Path) -> None:
    store = LocalStore(small_disk)
    _commit(store, 10)
    _mount("-o", "remount,ro", str(small_disk))
    with pytest.raises(StoreError, match=r"Read-only file system.*writable"):
        store.write_file("runs/a/run.json", b"{}")
    with pytest.raises(StoreError, match="writable"), exclusive(small_disk / "runs" / "a"):
        pass
    store.verify(PATH)


@pytest.mark.parametrize("damage", ["truncate", "flip", "delete"])
@pytest.mark.parametrize("name", ["data", "manifest.json"])
def test_every_damage_is_found_on_read_and_named(tmp_path: Path, damage: str, name: str) -> None:
    _commit(LocalStore(tmp_path), 100)
    file = tmp_path / PATH / name
    content = file.read_bytes()
    match damage:
        case "truncate":
            file.write_bytes(content[:-10])
        case "flip":
            file.write_bytes(content[:60] + bytes([content[60] ^ 1]) + content[61:])
        case "delete":
            file.unlink()
    with pytest.raises(StoreError, match=rf"{name}.*run the same command again"):
        LocalStore(tmp_path).file(PATH, "data")


def test_every_artifact_of_a_run_lies_where_its_stage_is_looked_for(undisturbed: Finished) -> None:
    store = LocalStore(undisturbed.home)
    for file in undisturbed.home.rglob("manifest.json"):
        path = file.parent.relative_to(undisturbed.home).as_posix()
        assert stage_at(path) == store.existing(path).identity.stage


STAGES = (
    "run", "prepare", "precompute", "answers", "base", "collect", "update", "checkpoint", "evaluate",
    "promote", "summary", "study-run",
)  # fmt: skip
"""Every kind of artifact that the program commits."""


@pytest.mark.parametrize("damage", ["truncate", "flip", "delete"])
@pytest.mark.parametrize("stage", STAGES)
def test_damage_to_an_artifact_of_any_kind_names_the_file_and_the_stage_to_run_again(
    tmp_path: Path, stage: str, damage: str
) -> None:
    with LocalStore(tmp_path).commit(f"a/{stage}", identify(stage, {})) as staging:
        (staging.directory / "data").write_bytes(b"some content")
    file = tmp_path / "a" / stage / "data"
    match damage:
        case "truncate":
            file.write_bytes(b"some")
        case "flip":
            file.write_bytes(b"somf content")
        case "delete":
            file.unlink()
    with pytest.raises(StoreError, match=rf"{stage}/data is damaged: .*repeats the stage '{stage}'"):
        LocalStore(tmp_path).file(f"a/{stage}", "data")


@pytest.mark.parametrize("stage", STAGES)
def test_a_disk_that_fills_up_in_a_commit_of_any_kind_leaves_nothing_and_the_next_attempt_succeeds(
    small_disk: Path, stage: str
) -> None:
    store, identity = LocalStore(small_disk), identify(stage, {})

    def attempt(size: int) -> None:
        with store.commit(f"a/{stage}", identity) as staging:
            (staging.directory / "data").write_bytes(bytes(size))

    with pytest.raises(StoreError, match=rf"a/{stage}: the disk is full"):
        attempt(2_000_000)
    assert store.read(f"a/{stage}") is None
    attempt(1000)
    store.verify(f"a/{stage}")


def test_any_flipped_bit_of_a_manifest_is_found(tmp_path: Path) -> None:
    _commit(LocalStore(tmp_path), 1)
    store, file = LocalStore(tmp_path), tmp_path / PATH / "manifest.json"
    original = store.read(PATH)
    content = file.read_bytes()
    for position in range(0, len(content), 7):
        file.write_bytes(content[:position] + bytes([content[position] ^ 4]) + content[position + 1 :])
        try:
            assert store.read(PATH) == original
        except StoreError as error:
            assert "manifest.json" in str(error)  # noqa: PT017
