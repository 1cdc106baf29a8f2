"""What every adapter of the `Learner` port, and its fake, must do."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes.learner import UnigramLearner
from tests.learning import random_rows, tiny_learner
from tests.tiny import VOCABULARY
from zppo.errors import EngineError, StoreError
from zppo.ports import Learner, MiniBatch, PolicyRow

ROWS = random_rows(9)
BATCH = MiniBatch(tuple(ROWS))

MakeLearner = Callable[[], Learner]


@pytest.fixture(params=["fake", "torch"])
def make_learner(request: pytest.FixtureRequest) -> MakeLearner:
    """Makes learners that start with the same weights."""
    return tiny_learner if request.param == "torch" else lambda: UnigramLearner(VOCABULARY)


@pytest.fixture
def learner(make_learner: MakeLearner) -> Learner:
    return make_learner()


def with_advantage(rows: list[PolicyRow], advantage: float) -> MiniBatch:
    return MiniBatch(tuple(replace(row, advantage=advantage) for row in rows))


def test_logprobs_come_in_the_order_of_rows_and_tokens(learner: Learner) -> None:
    together = learner.logprobs(ROWS)
    assert [len(logprobs) for logprobs in together] == [len(row.response_ids) for row in ROWS]
    assert all(logprob < 0 for logprobs in together for logprob in logprobs)
    for row, expected in zip(ROWS, together, strict=True):
        (alone,) = learner.logprobs([row])
        assert alone == pytest.approx(expected, abs=1e-5)


def test_no_rows_have_no_logprobs(learner: Learner) -> None:
    assert learner.logprobs([]) == []


def test_logprobs_change_no_weights(learner: Learner) -> None:
    assert learner.logprobs(ROWS) == learner.logprobs(ROWS)


@pytest.mark.parametrize("advantage", [1.0, -1.0])
def test_an_update_moves_the_probability_of_a_response_with_its_advantage(
    learner: Learner, advantage: float
) -> None:
    row = replace(ROWS[0], advantage=advantage)
    (before,) = learner.logprobs([row])
    learner.update(MiniBatch((replace(row, old_logprobs=before),)))
    (after,) = learner.logprobs([row])
    assert (sum(after) - sum(before)) * advantage > 0


def test_statistics_count_all_tokens_and_those_with_an_advantage(learner: Learner) -> None:
    statistics = learner.update(BATCH)
    assert statistics.tokens == sum(len(row.response_ids) for row in ROWS)
    assert statistics.active_tokens == sum(len(row.response_ids) for row in ROWS if row.advantage)
    assert 0 < statistics.entropy <= math.log(VOCABULARY) + 1e-6
    assert statistics.grad_norm > 0


def test_without_an_advantage_nothing_changes(learner: Learner) -> None:
    before = learner.logprobs(ROWS)
    statistics = learner.update(with_advantage(ROWS, 0.0))
    assert learner.logprobs(ROWS) == before
    assert (statistics.loss, statistics.grad_norm, statistics.active_tokens) == (0.0, 0.0, 0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_raises_names_the_rollout_and_changes_nothing(
    make_learner: MakeLearner, value: float
) -> None:
    learner, untouched = make_learner(), make_learner()
    bad = replace(ROWS[4], advantage=value)
    with pytest.raises(EngineError, match=bad.rollout):
        learner.update(MiniBatch((*ROWS[:4], bad, *ROWS[5:])))
    assert learner.logprobs(ROWS) == untouched.logprobs(ROWS)
    learner.update(BATCH)
    untouched.update(BATCH)
    assert learner.logprobs(ROWS) == untouched.logprobs(ROWS)


def test_going_on_from_a_checkpoint_equals_never_having_stopped(
    make_learner: MakeLearner, tmp_path: Path
) -> None:
    learner, restored = make_learner(), make_learner()
    learner.update(BATCH)
    learner.save(tmp_path / "checkpoint")
    restored.update(with_advantage(ROWS, -3.0))  # leaves other weights and moments, to be replaced
    restored.load(tmp_path / "checkpoint")
    for seed in (1, 2):
        batch = MiniBatch(tuple(random_rows(5, seed)))
        assert restored.update(batch) == learner.update(batch)
    assert restored.logprobs(ROWS) == learner.logprobs(ROWS)


def test_a_missing_checkpoint_raises_and_changes_nothing(learner: Learner, tmp_path: Path) -> None:
    before = learner.logprobs(ROWS)
    with pytest.raises(StoreError):
        learner.load(tmp_path / "nothing here")
    assert learner.logprobs(ROWS) == before
