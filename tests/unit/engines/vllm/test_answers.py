"""What counts as a completion."""

import json

import pytest

from zppo.engines.vllm.answers import read_completion
from zppo.engines.vllm.faults import ServerFault

EOS = (1, 2)
CHOICE = {"finish_reason": "stop", "token_ids": [5, 6, 1], "logprobs": {"token_logprobs": [-0.5, -1.0, 0.0]}}


def answer(**changes):
    return json.dumps({"choices": [CHOICE | changes], "usage": None}).encode()


def logprobs(*values):
    return {"token_logprobs": values}


def test_tokens_and_log_probabilities_are_taken_as_they_are():
    drawn = read_completion(answer(), 5, EOS, 100)
    assert (drawn.token_ids, drawn.logprobs, drawn.stop) == ((5, 6, 1), (-0.5, -1.0, 0.0), "eos")


def test_an_end_of_sequence_at_the_limit_is_an_end():
    assert read_completion(answer(finish_reason="length"), 3, EOS, 100).stop == "eos"


def test_a_response_at_its_limit_without_an_end_is_cut():
    assert read_completion(answer(finish_reason="length", token_ids=[5, 6, 7]), 3, EOS, 100).stop == "length"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"Internal Server Error",
        answer()[:-20],
        b'{"choices": []}',
        json.dumps({"choices": [CHOICE, CHOICE]}).encode(),
        answer(token_ids=None),
        answer(token_ids=[]),
        answer(token_ids=[5, -6, 1]),
        answer(token_ids=[5, 100, 1]),
        answer(logprobs=None),
        answer(logprobs=logprobs(-0.5, -1.0)),
        answer(logprobs=logprobs(-0.5, None, -1.0)),
        answer(logprobs=logprobs(-0.5, float("nan"), -1.0)),
        answer(logprobs=logprobs(-0.5, float("-inf"), -1.0)),
        answer(logprobs=logprobs(-0.5, 0.1, -1.0)),
        answer(finish_reason="abort"),
        answer(finish_reason=None),
        answer(token_ids=[5, 1, 1]),
        answer(token_ids=[5, 6, 7]),
        answer(token_ids=[5, 6, 7], finish_reason="length"),
    ],
)  # fmt: skip
def test_whatever_no_model_can_have_drawn_is_the_servers_fault(content):
    with pytest.raises(ServerFault):
        read_completion(content, 5, EOS, 100)


def test_more_tokens_than_asked_for_are_the_servers_fault():
    with pytest.raises(ServerFault):
        read_completion(answer(), 2, EOS, 100)
