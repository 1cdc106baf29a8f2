"""Which checkpoints stay, and that what something needs always does."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.config.evaluation import CheckpointConfig
from schemas.report import StepReport
from tests.unit.stages.process import Process
from zppo.stages.checkpoints import Checkpoints, surplus
from zppo.stages.train import read_reports
from zppo.stores.local import LocalStore


def retention(process: Process, config: CheckpointConfig) -> tuple[Checkpoints, list[str]]:
    """The checkpoints of a process under other limits, and where they warn."""
    its, warnings = process.training.checkpoints, list[str]()
    return Checkpoints(its.store, its.paths, its.run, config, its.rounds, warnings.append), warnings


def reports(process: Process) -> list[StepReport]:
    return read_reports(process.store, process.paths)


@given(
    sizes=st.dictionaries(st.integers(0, 40), st.integers(1, 100)),
    ranking=st.permutations(range(41)),
    pinned=st.sets(st.integers(0, 40)),
    committed=st.integers(0, 40),
    keep_last=st.integers(1, 4),
    keep_best=st.integers(1, 3),
    max_bytes=st.none() | st.integers(1, 300),
)
def test_what_is_needed_stays_and_the_rest_holds_to_every_limit(
    sizes: dict[int, int],
    ranking: list[int],
    pinned: set[int],
    committed: int,
    keep_last: int,
    keep_best: int,
    max_bytes: int | None,
) -> None:
    ranked = [index for index in ranking if index in sizes and index <= committed]
    config = CheckpointConfig(keep_last=keep_last, keep_best=keep_best, max_bytes=max_bytes)
    gone = surplus(sizes, ranked, pinned, committed, config)
    kept = sizes.keys() - gone
    usable = [index for index in sorted(sizes) if index <= committed]
    needed = {*usable[-1:], *ranked[:1], *(pinned & sizes.keys()), *(sizes.keys() - usable)}
    assert needed <= kept
    assert kept - needed <= {*usable[-keep_last:], *ranked[:keep_best]}
    assert max_bytes is None or kept == needed or sum(sizes[index] for index in kept) <= max_bytes
    left = {index: sizes[index] for index in kept}
    again = surplus(left, [index for index in ranked if index in kept], pinned, committed, config)
    assert not again


def test_over_the_limit_in_bytes_the_oldest_checkpoint_goes_first() -> None:
    sizes = dict.fromkeys((2, 4, 6, 8), 10)
    limited = [CheckpointConfig(keep_last=4, max_bytes=limit) for limit in (40, 39, 20, 1)]
    gone = [surplus(sizes, [2], set(), 8, config) for config in limited]
    assert gone == [[], [4], [4, 6], [4, 6]]


def test_a_checkpoint_of_a_round_that_is_not_committed_does_not_displace_the_resume_target() -> None:
    assert surplus(dict.fromkeys((2, 4, 6), 10), [], set(), 5, CheckpointConfig(keep_last=1)) == [2]


def test_a_pinned_checkpoint_stays(tmp_path: Path) -> None:
    process = Process(tmp_path).go(lambda path: path.endswith("00002/update"))
    process.training.checkpoints.pin(2, "fork-b", "b began from it")
    done = Process(tmp_path).go()
    assert done.training.checkpoints.written() == [2, 4, 6, 7]
    assert done.training.checkpoints.pinned() == {2}


def test_needed_checkpoints_over_the_limit_stay_with_a_warning(tmp_path: Path) -> None:
    done = Process(tmp_path).go()
    checkpoints, warnings = retention(done, CheckpointConfig(every=2, keep_last=2, max_bytes=1))
    checkpoints.prune(reports(done))
    assert checkpoints.written() == [4, 7]
    assert "over checkpoints.max_bytes = 1: those of the rounds 4, 7 stay" in warnings[0]


def test_a_kill_between_the_last_commit_and_the_pruning_is_made_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "remove", lambda store, path: None)
        done = Process(tmp_path).go()
    assert done.training.checkpoints.written() == [0, 2, 4, 6, 7]
    done.training.checkpoints.prune(reports(done))
    assert done.training.checkpoints.written() == [4, 6, 7]
