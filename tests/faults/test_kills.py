"""SIGKILL anywhere in the pipeline: the resumed run comes to what the undisturbed one came to, to the bit."""

import random

import pytest

from tests.faults.conftest import Finished, Live
from tests.pipelines import differences

pytestmark = pytest.mark.timeout(600)

POINTS = {
    "after store/prepare: after append": 0,  # the teacher has answered, its pool is not committed
    "after store/precompute: after start": 0,  # MLflow knows the run, the store no round
    "after tiny/checkpoints/00000: after generate": 1,
    "after tiny/base: after grade": 1,  # in the middle of a collect
    "after tiny/rounds/00001/collect: after replace": 0,  # between collect and update
    "after tiny/rounds/00001/collect: after update": 0,  # in the middle of an update
    "after tiny/rounds/00002/collect: after save": 1,  # the checkpoint is written, not committed
    "after tiny/checkpoints/00002: write": 1,  # the checkpoint is committed, its round is not
    "after tiny/rounds/00003/update: before log_round": 0,  # committed, MLflow does not know
    "after tiny/rounds/00003/update: after update": 0,  # while a committed round is computed again
    "after tiny/rounds/00003/update: after generate": 1,
    "after tiny/rounds/00004/update: before replace": 0,  # about to remove an old checkpoint
    "after store/answers: after generate": 1,  # in the middle of the evaluation
    "after tiny/evaluate: before log_evaluation": 0,
    "after tiny/pins/00002.registered: after register": 0,  # registered, not decided
    "after tiny/promote: before finish": 0,
    "after tiny/pins/00002.registered: after log_file": 0,  # the summary is in MLflow, not in the store
}
"""One process dies at each, in this order; with each the samplings that its death wastes."""


def samplings(run: Finished) -> int:
    return sum(point.endswith("before generate") for life in run.lives for point in life)


@pytest.fixture(scope="module")
def killed(live: Live) -> Finished:
    return live(list(POINTS))


def test_a_run_killed_at_every_stage_ends_as_one_that_was_not(
    killed: Finished, undisturbed: Finished
) -> None:
    assert [life[-1] for life in killed.lives[:-1]] == list(POINTS)
    assert differences(killed.results, undisturbed.results) == []


def test_nothing_that_is_committed_is_sampled_again(killed: Finished, undisturbed: Finished) -> None:
    wasted = samplings(killed) - samplings(undisturbed) - sum(POINTS.values())
    # MLflow is told of a round while the next one is computed, whose first sampling may have begun.
    assert wasted in range(1 + sum(point.endswith("log_round") for point in POINTS))


def test_killed_processes_leave_nothing_behind(killed: Finished) -> None:
    assert list((killed.home / "tmp").iterdir()) == []


def test_a_run_killed_at_random_moments_ends_as_one_that_was_not(live: Live, undisturbed: Finished) -> None:
    draws = random.Random(0)
    # The earliest first, and none in the later half: the first one falls inside the run at any speed.
    killed = live(sorted(draws.uniform(0.0, 0.5 * undisturbed.seconds[0]) for _ in range(6)))
    assert len(killed.lives) > 1
    assert differences(killed.results, undisturbed.results) == []


@pytest.mark.slow
@pytest.mark.parametrize("stride", [29, 31, 37, 41, 43, 47, 53, 59, 61, 67])
def test_a_run_killed_every_few_points_ends_as_one_that_was_not(
    live: Live, undisturbed: Finished, stride: int
) -> None:
    killed = live([stride + life for life in range(100)])
    assert len(killed.lives) > 5
    assert differences(killed.results, undisturbed.results) == []
