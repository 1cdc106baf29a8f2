"""The engine over servers that answer, and over servers that misbehave."""

from collections import Counter

import pytest
import torch

from tests.fakes.vllm_server import FakeVllm, fake_vllm
from tests.tiny import tiny_model
from tests.unit.engines.vllm.engines import (
    PLAIN,
    engine_on,
    expected,
    given,
    questions,
    tokens,
    weights_of,
)
from zppo.errors import EngineError, InputError
from zppo.ports import GenerationFailure, GenerationRequest


def once(kind: str, place: int):
    """One fault, at the request of that number."""
    return lambda body, count: kind if count == place else None


def test_each_seed_gets_its_own_response_in_the_order_asked(tmp_path):
    requests = questions(20)
    with fake_vllm() as fake:
        answers = engine_on(given(fake), weights_of(tmp_path)).generate(requests, PLAIN)
    assert tokens(answers) == expected(requests)
    assert all(
        each.stop == ("eos" if each.token_ids[-1] == 1 else "length") for group in answers for each in group
    )


def test_every_setting_of_the_decoding_is_sent(tmp_path):
    decoding = PLAIN.model_copy(update={"top_p": 0.9, "top_k": 7, "min_p": 0.1, "presence_penalty": 0.3})
    with fake_vllm() as fake:
        engine_on(given(fake), weights_of(tmp_path)).generate(questions(1, 1), decoding)
    sent = fake.bodies[0].items()
    fields = ("temperature", "top_p", "top_k", "min_p", "presence_penalty", "repetition_penalty")
    assert {(field, getattr(decoding, field)) for field in fields} <= sent
    assert fake.bodies[0]["stop_token_ids"] == [1]
    assert fake.bodies[0]["ignore_eos"] is True


def test_a_prefix_is_sent_behind_the_prompt_and_begins_the_text(tmp_path):
    request = GenerationRequest("q", (4, 5), (1, 2), prefix_ids=(6, 7))
    with fake_vllm() as fake:
        (group,) = engine_on(given(fake), weights_of(tmp_path)).generate([request], PLAIN)
    assert {tuple(body["prompt"]) for body in fake.bodies} == {(4, 5, 6, 7)}
    assert {body["max_tokens"] for body in fake.bodies} == {PLAIN.max_response_tokens - 2}
    assert all(each.text.startswith("w1 w2") and each.token_ids[:2] != (6, 7) for each in group)


def test_what_has_no_room_fails_alone_and_is_not_sent(tmp_path):
    requests = [GenerationRequest("long", (5,) * 256, (1, 2)), *questions(1), GenerationRequest("", (), (3,))]
    with fake_vllm() as fake:
        long, good, empty = engine_on(given(fake), weights_of(tmp_path)).generate(requests, PLAIN)
    assert all(isinstance(each, GenerationFailure) for each in (*long, *empty))
    assert tokens([good]) == expected(requests[1:2])
    assert len(fake.bodies) == len(good)


def test_nothing_asked_starts_nothing(tmp_path):
    engine = engine_on(given(FakeVllm("closed")), weights_of(tmp_path))
    assert engine.generate([], PLAIN) == []
    assert engine.generate([GenerationRequest("q", (4,), ())], PLAIN) == [()]


def test_the_responses_of_a_prompt_go_to_one_server_and_the_prompts_to_all(tmp_path):
    requests = questions(9)
    with fake_vllm() as one, fake_vllm() as other:
        answers = engine_on(given(one, other), weights_of(tmp_path)).generate(requests, PLAIN)
    assert tokens(answers) == expected(requests)
    prompts = [{tuple(body["prompt"]) for body in fake.bodies} for fake in (one, other)]
    assert not prompts[0] & prompts[1]
    assert sorted(map(len, prompts)) == [4, 5]


def test_a_thousand_responses_arrive_once_each_while_answers_fail(tmp_path):
    kinds = [
        "500", "cut", "malformed", "two", "none", "no ids", "no token's id", "nan", "a logprob less", "slow",
    ]  # fmt: skip
    faults = {place * 101: kind for place, kind in enumerate(kinds, 1)}
    requests = questions(250)
    with fake_vllm(fault=lambda body, count: faults.get(count)) as fake:
        engine = engine_on(given(fake), weights_of(tmp_path), restarts=len(kinds), silence_seconds=30.0)
        assert tokens(engine.generate(requests, PLAIN)) == expected(requests)
    asked = Counter((tuple(body["prompt"]), body["seed"]) for body in fake.bodies)
    assert sum(asked.values()) < 1000 + len(kinds) * 1.5
    assert len(asked) == 1000


@pytest.mark.parametrize("kind", ["500", "cut", "malformed", "nan", "hang"])
def test_only_unfinished_responses_are_asked_for_again(tmp_path, kind):
    requests = questions(10)
    with fake_vllm(fault=once(kind, 13)) as fake:
        engine = engine_on(given(fake), weights_of(tmp_path), concurrency=1, silence_seconds=0.5)
        assert tokens(engine.generate(requests, PLAIN)) == expected(requests)
    assert len(fake.bodies) == 41
    assert {body["seed"] for body in (fake.bodies[13], fake.bodies[14])} == {fake.bodies[13]["seed"]}


def test_a_server_that_goes_on_failing_ends_the_run_with_its_name_and_the_request(tmp_path):
    requests = questions(3)
    with fake_vllm(fault=lambda body, count: "500" if body["prompt"][-1] == 1 else None) as fake:
        engine = engine_on(given(fake), weights_of(tmp_path), concurrency=1)
        with pytest.raises(
            EngineError, match=rf"{fake.url}.* failed, 3 times .*8 of 12 .*asked for 'q1': .*500"
        ):
            engine.generate(requests, PLAIN)
    assert len(fake.bodies) == 4 + 3


def test_a_request_that_is_refused_is_not_repeated(tmp_path):
    refused = pytest.raises(EngineError, match=r"failed, 1 times .*400.*BadRequestError")
    with fake_vllm(fault=lambda body, count: "400") as fake, refused:
        engine_on(given(fake), weights_of(tmp_path), concurrency=1).generate(questions(2), PLAIN)
    assert len(fake.bodies) == 1


def test_a_server_with_too_small_a_window_is_refused(tmp_path):
    with fake_vllm(window=100) as fake, pytest.raises(InputError, match=r"100 tokens .*256.*max_model_len"):
        engine_on(given(fake), weights_of(tmp_path)).generate(questions(1), PLAIN)


def follow(tmp_path):
    model = tiny_model("llama")
    weights = weights_of(tmp_path)
    weights.follow(model)
    return model, weights


def change(model):
    with torch.no_grad():
        next(model.parameters()).mul_(1.01)


def test_changed_weights_are_loaded_and_the_prefix_cache_reset_before_the_next_response(tmp_path):
    model, weights = follow(tmp_path)
    with fake_vllm() as fake:
        engine = engine_on(given(fake), weights)
        engine.generate(questions(2), PLAIN)
        change(model)
        for _ in range(2):
            engine.generate(questions(2), PLAIN)
        engine.close()
    assert fake.calls == [
        "/v1/completions",
        "/collective_rpc", "/reset_prefix_cache", "/update_weight_version",
        "/v1/completions",
    ]  # fmt: skip
    assert len(fake.loaded) == 1
    assert not list((tmp_path / "weights").iterdir())


def test_every_server_gets_the_same_weights_and_they_are_written_once(tmp_path):
    model, weights = follow(tmp_path)
    change(model)
    with fake_vllm() as one, fake_vllm() as other:
        engine_on(given(one, other), weights).generate(questions(4), PLAIN)
    assert one.loaded == other.loaded
    assert one.weights == other.weights == weights.name


def test_a_server_that_came_back_with_other_weights_gets_the_current_ones(tmp_path):
    model, weights = follow(tmp_path)
    change(model)
    with fake_vllm() as fake:
        engine = engine_on(given(fake), weights)
        engine.generate(questions(2), PLAIN)
        fake.weights = "default"
        engine.generate(questions(2), PLAIN)
    assert len(fake.loaded) == 2


def test_a_prefix_cache_in_use_is_reset_as_soon_as_it_is_free(tmp_path):
    model, weights = follow(tmp_path)
    change(model)
    with fake_vllm() as fake:
        fake.busy = 3
        engine_on(given(fake), weights).generate(questions(1), PLAIN)
    assert fake.busy < 0
    assert fake.weights == weights.name


def test_a_server_of_another_checkpoint_gets_the_recipes(tmp_path):
    with fake_vllm(model="another") as fake:
        engine_on(given(fake), weights_of(tmp_path)).generate(questions(1), PLAIN)
    assert fake.loaded == [str(tmp_path / "checkpoint")]


@pytest.mark.parametrize(("model", "trained"), [("another", False), ("tiny", True)])
def test_a_server_that_takes_no_weights_must_hold_the_right_ones(tmp_path, model, trained):
    module, weights = follow(tmp_path)
    if trained:
        change(module)
    with fake_vllm(model=model, dev_mode=False) as fake:
        with pytest.raises(InputError, match="VLLM_SERVER_DEV_MODE"):
            engine_on(given(fake), weights).generate(questions(1), PLAIN)
        assert not fake.bodies


def test_a_server_that_takes_no_weights_serves_the_checkpoint_that_it_was_started_with(tmp_path):
    with fake_vllm(dev_mode=False) as fake:
        assert engine_on(given(fake), weights_of(tmp_path)).generate(questions(1), PLAIN)


def test_weights_that_another_process_loads_meanwhile_end_the_run(tmp_path):
    def interfere(body, count):
        fake.weights = "somebody else's"

    with fake_vllm(fault=interfere) as fake, pytest.raises(EngineError, match="another process"):
        engine_on(given(fake), weights_of(tmp_path)).generate(questions(1), PLAIN)


def test_a_colocated_server_sleeps_while_the_learner_works_and_wakes_for_the_next_call(tmp_path):
    with fake_vllm() as fake:
        engine = engine_on(given(fake), weights_of(tmp_path), colocated=True)
        engine.rest()
        for _ in range(2):
            engine.generate(questions(1), PLAIN)
            engine.rest()
            engine.rest()
    assert fake.calls == ["/v1/completions", "/sleep", "/wake_up", "/v1/completions", "/sleep"]


def test_a_colocated_server_that_is_gone_needs_no_sleep(tmp_path):
    with fake_vllm() as fake:
        engine = engine_on(given(fake), weights_of(tmp_path), colocated=True)
        engine.generate(questions(1), PLAIN)
    engine.rest()


def test_a_server_of_its_own_device_does_not_sleep(tmp_path):
    with fake_vllm() as fake:
        engine = engine_on(given(fake), weights_of(tmp_path))
        engine.generate(questions(1), PLAIN)
        engine.rest()
    assert fake.calls == ["/v1/completions"]
