"""Rollouts and checkpoints that are written beside what reads them: order, errors, the same bits."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, current_thread, main_thread
from typing import Any

import pytest

from schemas.manifest import Identity
from schemas.report import ValidationReport
from tests.fakes.learner import UnigramLearner
from tests.unit.stages.process import ROUNDS, Process
from tests.unit.stages.test_train import content
from zppo.beside import Behind
from zppo.errors import StoreError
from zppo.ports import DriftCheck, MiniBatch, UpdateStatistics
from zppo.stages.timings import read_timings
from zppo.stores.local import LocalStore, Staging


@contextmanager
def commits_first_do(
    monkeypatch: pytest.MonkeyPatch, path: str, work: Callable[[], object]
) -> Iterator[list[str]]:
    """Do something before an artifact is committed; yields the paths committed, in order."""
    commit, committed = LocalStore.commit, list[str]()

    @contextmanager
    def watched(store: LocalStore, target: str, identity: Identity, *rest: Any) -> Iterator[Staging]:
        if target == path:
            work()
        with commit(store, target, identity, *rest) as staging:
            yield staging
        committed.append(target)

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "commit", watched)
        yield committed


@pytest.mark.parametrize("stage", ["collect", "checkpoint"])
def test_what_is_written_beside_is_committed_before_the_rounds_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    busy = Event()
    with Behind("writing") as writing:
        process = Process(tmp_path, writing=writing)
        written, report = getattr(process.paths, stage)(2), process.paths.update(2)
        with commits_first_do(monkeypatch, written, lambda: busy.wait(0.2)) as committed:
            process.go()
    assert committed.index(written) < committed.index(report)


def test_a_rounds_updates_begin_while_its_rollouts_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    update, learning, begun = UnigramLearner.update, Event(), list[bool]()

    def learn(learner: UnigramLearner, batch: MiniBatch, check: DriftCheck | None = None) -> UpdateStatistics:
        learning.set()
        return update(learner, batch, check)

    monkeypatch.setattr(UnigramLearner, "update", learn)
    with Behind("writing") as writing:
        process = Process(tmp_path, writing=writing)
        with commits_first_do(monkeypatch, process.paths.collect(1), lambda: begun.append(learning.wait(10))):
            process.go(lambda path: path == process.paths.update(1))
    assert begun == [True]
    assert "wait_for_writing" in read_timings(process.store, process.paths, 1).seconds


def test_a_checkpoint_is_written_while_it_is_validated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    validating, begun = Event(), list[bool]()
    validate = Process._validate

    def validated(process: Process) -> ValidationReport | None:
        if process.observed:
            validating.set()
        return validate(process)

    monkeypatch.setattr(Process, "_validate", validated)
    with Behind("writing") as writing:
        process = Process(tmp_path, writing=writing)
        with commits_first_do(
            monkeypatch, process.paths.checkpoint(2), lambda: begun.append(validating.wait(10))
        ):
            process.go(lambda path: path == process.paths.update(2))
    assert begun == [True]


@pytest.mark.parametrize("stage", ["collect", "checkpoint"])
def test_an_error_of_writing_keeps_the_round_from_being_committed_and_the_next_process_computes_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    whole = Process(tmp_path / "whole").go()

    def full() -> None:
        assert current_thread() is not main_thread()
        raise StoreError("the disk is full")

    def train(home: Path) -> Process:
        with Behind("writing") as writing:
            return Process(home, writing=writing).go()

    failed = getattr(whole.paths, stage)(4)
    with (
        commits_first_do(monkeypatch, failed, full),
        pytest.raises(StoreError, match="the disk is full"),
    ):
        train(tmp_path / "harmed")
    store = LocalStore(tmp_path / "harmed")
    assert store.read(failed) is None
    assert store.read(whole.paths.update(4)) is None
    assert store.read(whole.paths.update(3)) is not None
    assert content(train(tmp_path / "harmed")) == content(whole)


def test_a_report_names_the_rollouts_that_it_was_made_from(tmp_path: Path) -> None:
    with Behind("writing") as writing:
        process = Process(tmp_path, writing=writing).go()
    for index in range(1, ROUNDS + 1):
        rollouts = process.store.existing(process.paths.collect(index))
        report = process.store.existing(process.paths.update(index))
        assert report.identity.parents == (rollouts.as_parent(),)
        assert rollouts.provenance.seconds > 0
