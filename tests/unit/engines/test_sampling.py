import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import RepetitionPenaltyLogitsProcessor

from schemas.config.models import DecodingConfig
from zppo.engines.sampling import Sampler, inverse_cdf, presence_penalised, uniforms

VOCABULARY = 6
PLAIN = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "presence_penalty": 0.0}
SEEDS = st.integers(0, 2**63 - 1)
LOGITS = st.lists(st.floats(-5, 5, width=32), min_size=VOCABULARY, max_size=VOCABULARY)
UNIFORM = st.floats(0, 1, exclude_max=True)


def draw(logits, uniform, responses=(), prompts=(0,), **decoding):
    sampler = Sampler(DecodingConfig(**{**PLAIN, **decoding}))
    tokens, logprobs = sampler.draw(
        torch.tensor([logits]),
        torch.tensor([prompts], dtype=torch.long),
        torch.tensor([responses], dtype=torch.long),
        torch.tensor([uniform], dtype=torch.float64),
    )
    return int(tokens), float(logprobs)


def drawn_tokens(logits, **decoding):
    return {draw(logits, uniform, **decoding)[0] for uniform in np.linspace(0, 0.999, 60)}


@given(SEEDS, st.integers(1, 50), st.integers(1, 50))
def test_a_number_depends_on_its_seed_and_its_place_only(seed, count, other):
    rows = uniforms([7, seed], count)
    assert rows[1, : min(count, other)].tolist() == uniforms([seed], other)[0, : min(count, other)].tolist()
    assert ((rows >= 0) & (rows < 1)).all()


def test_different_seeds_give_different_numbers():
    rows = uniforms(range(100), 4)
    assert len(np.unique(rows)) == rows.size


@given(st.lists(st.floats(0, 1), min_size=2, max_size=8).filter(any), UNIFORM)
def test_a_token_without_probability_is_never_drawn(weights, uniform):
    probabilities = torch.tensor([weights], dtype=torch.float64)
    token = int(inverse_cdf(probabilities, torch.tensor([uniform], dtype=torch.float64)))
    assert weights[token] > 0


def test_tokens_come_in_proportion_to_their_probability():
    probabilities = torch.tensor([0.1, 0.0, 0.6, 0.3], dtype=torch.float64)
    numbers = torch.from_numpy(uniforms([3], 20_000)[0])
    tokens = inverse_cdf(probabilities.expand(20_000, 4), numbers)
    shares = torch.bincount(tokens, minlength=4) / len(tokens)
    assert shares.tolist() == pytest.approx(probabilities.tolist(), abs=0.01)


@given(LOGITS, UNIFORM, st.floats(0.1, 4))
def test_log_probabilities_are_those_at_the_temperature(logits, uniform, temperature):
    token, logprob = draw(logits, uniform, temperature=temperature)
    expected = torch.log_softmax(torch.tensor(logits).double() / temperature, dim=0)[token]
    assert logprob == pytest.approx(float(expected), abs=1e-9)


@given(LOGITS, UNIFORM)
def test_log_probabilities_do_not_see_truncation_or_penalties(logits, uniform):
    changes = {"top_k": 2, "top_p": 0.7, "min_p": 0.1, "presence_penalty": 1.0, "repetition_penalty": 1.3}
    token, logprob = draw(logits, uniform, responses=(1, 2), **changes)
    expected = torch.log_softmax(torch.tensor(logits).double(), dim=0)[token]
    assert logprob == pytest.approx(float(expected), abs=1e-9)


@given(LOGITS, UNIFORM)
def test_greedy_takes_the_best_token_at_temperature_one(logits, uniform):
    token, logprob = draw(logits, uniform, temperature=0.0)
    expected = torch.log_softmax(torch.tensor(logits).double(), dim=0)
    assert logits[token] == max(logits)
    assert logprob == pytest.approx(float(expected[token]), abs=1e-9)


def test_truncation_keeps_the_most_likely_tokens():
    logits = np.log([0.4, 0.3, 0.15, 0.1, 0.04, 0.01]).tolist()
    assert drawn_tokens(logits, top_k=2) == {0, 1}
    assert drawn_tokens(logits, top_p=0.6) == {0, 1}
    assert drawn_tokens(logits, min_p=0.3) == {0, 1, 2}
    assert drawn_tokens(logits) >= {0, 1, 2, 3, 4}


def test_presence_lowers_tokens_of_the_response_once_however_often_they_came():
    scores = torch.zeros(2, 4, dtype=torch.float64)
    penalised = presence_penalised(scores, torch.tensor([[1, 1, 1], [0, 3, 0]]), 1.5)
    assert penalised.tolist() == [[0, -1.5, 0, 0], [-1.5, 0, 0, -1.5]]


def test_presence_ignores_the_prompt_and_repetition_does_not():
    logits = [2.0, 1.9, 0.0, 0.0, 0.0, 0.0]
    assert draw(logits, 0.5, prompts=(0,), temperature=0.0, presence_penalty=1.0)[0] == 0
    assert draw(logits, 0.5, responses=(0,), temperature=0.0, presence_penalty=1.0)[0] == 1
    assert draw(logits, 0.5, prompts=(0,), temperature=0.0, repetition_penalty=1.5)[0] == 1


def test_repetition_is_penalised_as_transformers_does():
    logits, seen = torch.tensor([[1.0, -1.0, 2.0]]), torch.tensor([[0, 1]])
    expected = RepetitionPenaltyLogitsProcessor(2.0)(seen, logits).argmax()
    token, _ = draw(
        [1.0, -1.0, 2.0, -9.0, -9.0, -9.0], 0.5, (1,), (0,), temperature=0.0, repetition_penalty=2.0
    )
    assert token == int(expected)


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
@pytest.mark.parametrize("changes", [{}, {"temperature": 0.0}, {"top_p": 0.9, "top_k": 3, "min_p": 0.1}])
def test_unusable_logits_are_marked_by_nan(broken, changes):
    _, logprob = draw([0.0, broken, 0.0, 0.0, 0.0, 0.0], 0.5, responses=(1,), **changes)
    assert np.isnan(logprob)
