import json
import threading
from pathlib import Path

import pytest

from schemas.manifest import Identity
from zppo.errors import StoreError
from zppo.stores.files import Operations
from zppo.stores.identity import digest, identify
from zppo.stores.local import LocalStore

PATH = "runs/a/rounds/00001/collect"
IDENTITY = identify("collect", {"recipe": {"tau": 0.5}})


def _commit(store: LocalStore, path: str = PATH, identity: Identity = IDENTITY, data: bytes = b"data"):
    with store.commit(path, identity) as staging:
        (staging.directory / "deep").mkdir()
        (staging.directory / "deep" / "file").write_bytes(data)
    return staging.manifest


def test_a_committed_artifact_reads_back_with_its_identity(tmp_path: Path) -> None:
    written = _commit(LocalStore(tmp_path))
    store = LocalStore(tmp_path)
    assert store.read(PATH) == store.verify(PATH) == store.find(PATH, IDENTITY) == written
    assert store.file(PATH, "deep/file").read_bytes() == b"data"
    assert written.identity == IDENTITY


def test_nothing_is_read_where_nothing_was_committed(tmp_path: Path) -> None:
    assert LocalStore(tmp_path).read(PATH) is None
    assert LocalStore(tmp_path).find(PATH, IDENTITY) is None
    with pytest.raises(StoreError, match="does not exist"):
        LocalStore(tmp_path).verify(PATH)


def test_an_exception_in_the_block_leaves_nothing_behind(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)

    def fail() -> None:
        with store.commit(PATH, IDENTITY) as staging:
            (staging.directory / "file").write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert store.read(PATH) is None
    assert list((tmp_path / "tmp").iterdir()) == []


def test_another_identity_at_the_same_path_is_refused_with_the_changes_before_any_work(
    tmp_path: Path,
) -> None:
    store = LocalStore(tmp_path)
    _commit(store)
    other = identify("collect", {"recipe": {"tau": 0.4}})
    with pytest.raises(StoreError, match=r"recipe\.tau: 0\.5 -> 0\.4"), store.commit(PATH, other):
        pytest.fail("the block must not run")


def test_of_two_commits_of_one_identity_the_first_stays(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    with store.commit(PATH, IDENTITY) as slow:
        (slow.directory / "file").write_bytes(b"second")
        first = _commit(LocalStore(tmp_path), data=b"first")
    assert slow.manifest == first
    assert store.file(PATH, "deep/file").read_bytes() == b"first"


def test_of_two_commits_of_different_identities_the_second_is_refused(tmp_path: Path) -> None:
    other = identify("collect", {"recipe": {"tau": 0.4}})
    with pytest.raises(StoreError, match="something else"), LocalStore(tmp_path).commit(PATH, other):
        _commit(LocalStore(tmp_path))


def test_a_workspace_in_use_is_not_swept_away(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    with store.commit(PATH, IDENTITY) as staging:
        thread = threading.Thread(target=_commit, args=(store, "runs/b", IDENTITY))
        thread.start()
        thread.join()
        assert staging.directory.is_dir()
    store.verify(PATH)
    store.verify("runs/b")


def test_a_manifest_of_a_newer_version_is_refused_as_such(tmp_path: Path) -> None:
    _commit(LocalStore(tmp_path))
    file = tmp_path / PATH / "manifest.json"
    manifest = json.loads(file.read_bytes())["manifest"] | {"schema_version": 2, "novelty": 1}
    file.write_text(json.dumps({"sha256": digest(manifest), "manifest": manifest}))
    with pytest.raises(StoreError, match=r"schema version 2.*up to 1.*upgrade"):
        LocalStore(tmp_path).read(PATH)


def test_parents_are_kept_and_change_the_fingerprint(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    parent = _commit(store)
    child = _commit(store, "runs/a/rounds/00001/update", identify("update", {}, [parent]))
    assert child.identity.parents == (parent.as_parent(),)
    assert child.fingerprint != _commit(store, "runs/b", identify("update", {})).fingerprint


def test_a_file_that_the_artifact_lacks_is_named_with_those_it_has(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    _commit(store)
    with pytest.raises(StoreError, match=r"no file missing\.bin; it holds deep/file"):
        store.file(PATH, "missing.bin")


def test_committed_lists_artifacts_in_order_and_ignores_everything_else(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    for number in (10, 2):
        _commit(store, f"runs/a/checkpoints/{number:05}", identify("checkpoint", {"round": number}))
    (tmp_path / "runs/a/checkpoints/.hidden").mkdir()
    assert store.committed("runs/a/checkpoints") == ("runs/a/checkpoints/00002", "runs/a/checkpoints/00010")
    assert store.committed("runs/none") == ()


def test_a_removed_artifact_is_gone_and_can_be_committed_again(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    _commit(store)
    store.remove(PATH)
    assert store.read(PATH) is None
    _commit(store)
    store.verify(PATH)


def test_write_file_makes_and_replaces(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    for content in (b"1", b"22"):
        store.write_file("runs/a/run.json", content)
        assert (tmp_path / "runs/a/run.json").read_bytes() == content
    assert list((tmp_path / "tmp").iterdir()) == []


def test_nothing_becomes_visible_but_by_the_rename(tmp_path: Path) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise InterruptedError(f"{source} is not moved to {target}")

    LocalStore(tmp_path).write_file("runs/a/run.json", b"old")
    store = LocalStore(tmp_path, Operations(rename=refuse))
    with pytest.raises(InterruptedError):
        _commit(store)
    with pytest.raises(InterruptedError):
        store.write_file("runs/a/run.json", b"new")
    assert store.read(PATH) is None
    assert (tmp_path / "runs/a/run.json").read_bytes() == b"old"
