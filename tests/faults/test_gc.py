"""A run that was stopped, whose home was collected, goes on to the same bits."""

import shutil
from pathlib import Path

import pytest

from tests.faults.conftest import Finished
from tests.pipelines import NAME, differences, recipe, results, run_without_prefect
from zppo.layout import RunPaths, partial
from zppo.stages.train import Trainer
from zppo.stores.local import LocalStore
from zppo.wiring.gc import find_waste, remove_waste

STOPPED_IN = 5


_remove = LocalStore.remove


def _all_but_checkpoints(store: LocalStore, path: str) -> None:
    if "/checkpoints/" not in path:
        _remove(store, path)


def _stop(trainer: Trainer, index: int) -> str:
    if index == STOPPED_IN:
        raise KeyboardInterrupt
    return _collect(trainer, index)


_collect = Trainer.collect


def test_a_stopped_run_goes_on_to_the_same_bits_after_a_collection(
    tmp_path: Path, undisturbed: Finished, mlflow_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, config = tmp_path / "home", recipe(tmp_path)
    home.mkdir()
    shutil.copy(mlflow_database, home / "mlflow.db")
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "collect", _stop)
        patch.setattr(LocalStore, "remove", _all_but_checkpoints)  # as if killed before each pruning
        with pytest.raises(KeyboardInterrupt):
            run_without_prefect(config, home)
    for leftover in ("tmp/killed", partial("precompute", "0" * 64)):
        (home / leftover).mkdir(parents=True)
        (home / leftover / "file").write_bytes(bytes(100))
    found = find_waste(home)
    assert [each.path for each in found.waste] == [
        "tmp/killed", RunPaths(NAME).checkpoint(0), partial("precompute", "0" * 64),
    ]  # fmt: skip
    assert found.left_alone == remove_waste(home, found).left_alone == []
    run_without_prefect(config, home)
    assert differences(results(home), undisturbed.results) == []
    assert find_waste(home).waste == []
