"""Weights of a round's tokens between sampler and learner."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.learner import UnigramLearner
from tests.learning import random_rows
from tests.tiny import VOCABULARY
from zppo.methods.importance import Effect, effect, weigh
from zppo.ports import MiniBatch, PolicyRow

CAPS = st.floats(0.1, 5.0)


def learner() -> UnigramLearner:
    result = UnigramLearner(VOCABULARY)
    result.logits = [0.01 * token for token in range(VOCABULARY)]
    return result


def batches(seed: int = 0) -> list[MiniBatch]:
    rows = random_rows(12, seed)
    return [MiniBatch(tuple(rows[:7])), MiniBatch(tuple(rows[7:]))]


def policy(batch: MiniBatch) -> list[PolicyRow]:
    return [row for row in batch.rows if isinstance(row, PolicyRow)]


@given(st.integers(0, 100), CAPS)
def test_the_weight_is_the_learners_probability_over_the_samplers_up_to_the_cap(
    seed: int, cap: float
) -> None:
    before = batches(seed)
    for old, new in zip(before, weigh(before, cap, learner()), strict=True):
        for sampled, weighed in zip(policy(old), policy(new), strict=True):
            if not sampled.advantage:
                assert weighed == sampled
                continue
            (scores,) = learner().logprobs([sampled])
            assert weighed.old_logprobs == scores
            expected = [min(cap, math.exp(a - b)) for a, b in zip(scores, sampled.old_logprobs, strict=True)]
            assert weighed.importance == pytest.approx(expected)


def test_a_sampler_that_is_the_learner_has_weights_of_one() -> None:
    rows = [
        replace(row, old_logprobs=scores)
        for row, scores in zip(random_rows(6), learner().logprobs(random_rows(6)), strict=True)
    ]
    (weighed,) = weigh([MiniBatch(tuple(rows))], 2.0, learner())
    assert effect(weighed, 2.0) == Effect(1.0, 0.0)


@given(st.integers(0, 100), CAPS)
def test_the_effect_is_that_on_tokens_with_an_advantage(seed: int, cap: float) -> None:
    for batch in weigh(batches(seed), cap, learner()):
        weights = [weight for row in policy(batch) if row.advantage for weight in row.importance or ()]
        result = effect(batch, cap)
        assert result.importance_weight == pytest.approx(sum(weights) / len(weights))
        assert result.importance_capped == sum(weight == cap for weight in weights) / len(weights)


def test_a_token_that_the_sampler_all_but_excluded_has_the_cap() -> None:
    row = replace(random_rows(1)[0], response_ids=(3,), old_logprobs=(-2000.0,))
    (weighed,) = weigh([MiniBatch((row,))], 2.0, learner())
    assert effect(weighed, 2.0) == Effect(2.0, 1.0)


def test_without_weights_there_is_no_effect() -> None:
    assert effect(batches()[0], None) == Effect(None, None)
