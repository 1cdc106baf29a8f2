from pathlib import Path

from zppo.stores.local import LocalStore
from zppo.tracking.key import run_key


def test_a_run_keeps_its_key_and_no_two_runs_share_one(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    key = run_key(store, "runs/a")
    assert run_key(LocalStore(tmp_path), "runs/a") == key
    assert run_key(store, "runs/b") != key
