"""What every rollout engine promises, whatever its technology."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from transformers import LlamaForCausalLM

from schemas.config.learner import LoraConfig
from schemas.config.models import DecodingConfig, TransformersEngineConfig
from tests.fakes.engine import ScriptedEngine
from tests.tiny import ARCHITECTURES, save_servable, tiny_chat, tiny_model
from tests.vllm_servers import machine, served
from zppo.engines.transformers import TransformersEngine
from zppo.learners.lora import Lora
from zppo.ports import Generation, GenerationFailure, GenerationRequest, RolloutEngine

WINDOW = 256
LORA = LoraConfig(rank=4)
PLAIN = DecodingConfig(temperature=1.0, top_p=1.0, top_k=0, presence_penalty=0.0, max_response_tokens=12)
DECODINGS = {
    "training": PLAIN,
    "evaluation": DecodingConfig(max_response_tokens=12),
    "greedy": DecodingConfig(temperature=0.0, max_response_tokens=12),
}


def scripted() -> RolloutEngine:
    return ScriptedEngine(lambda id, index: " ".join([f"{id}-{index}"] * (index * 4)), window=WINDOW)


def transformers(architecture: str) -> RolloutEngine:
    return TransformersEngine(tiny_model(architecture), tiny_chat(), TransformersEngineConfig())


VLLM = [pytest.param(name, marks=pytest.mark.vllm) for name in ("vllm", "vllm with adapters")]


@pytest.fixture(params=["scripted", *ARCHITECTURES, *VLLM], scope="module")
def engine(request, tmp_path_factory) -> Iterator[RolloutEngine]:
    checkpoint = tmp_path_factory.mktemp("checkpoint")
    if request.param == "vllm":
        with served(str(save_servable(checkpoint)), machine(tmp_path_factory.mktemp("home"))) as model:
            yield model.engine
    elif request.param == "vllm with adapters":
        runtime = machine(tmp_path_factory.mktemp("home"), weight_sync="adapter")
        with served(str(save_servable(checkpoint)), runtime, LORA) as model:
            module = LlamaForCausalLM.from_pretrained(checkpoint)
            model.follow(module)
            Lora(module, LORA)
            yield model.engine
    else:
        yield scripted() if request.param == "scripted" else transformers(request.param)


@pytest.fixture(params=DECODINGS)
def decoding(request) -> DecodingConfig:
    return DECODINGS[request.param]


def requests_of(engine: RolloutEngine) -> list[GenerationRequest]:
    texts = ["w1", "w2 w3 w4 w5 w6 w7 w8 w9", "w3 w4", "w5 w6 w7"]
    seeds = [(1, 2, 3, 4), (5,), (6, 7, 8, 9, 10), (11, 12)]
    return [
        GenerationRequest(f"q{place}", engine.encode(text), seeds[place]) for place, text in enumerate(texts)
    ]


def flat(answers: list[tuple[Generation | GenerationFailure, ...]]) -> list[Generation]:
    generations = [generation for group in answers for generation in group]
    assert all(isinstance(generation, Generation) for generation in generations)
    return generations


def same(one: Generation, other: Generation) -> bool:
    return (
        one.token_ids == other.token_ids
        and one.text == other.text
        and one.stop == other.stop
        and one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
    )


def test_each_seed_of_each_request_gets_one_response(engine, decoding):
    requests = requests_of(engine)
    answers = engine.generate(requests, decoding)
    assert [len(group) for group in answers] == [len(request.seeds) for request in requests]
    assert len(flat(answers)) == sum(len(request.seeds) for request in requests)


def test_every_token_has_a_log_probability(engine, decoding):
    for generation in flat(engine.generate(requests_of(engine), decoding)):
        assert len(generation.token_ids) == len(generation.logprobs) >= 1
        assert all(logprob <= 0 for logprob in generation.logprobs)


def test_a_response_ends_with_its_only_end_of_sequence_or_at_the_limit(engine, decoding):
    answers = flat(engine.generate(requests_of(engine), decoding))
    ends = {generation.token_ids[-1] for generation in answers if generation.stop == "eos"}
    for generation in answers:
        assert not ends & set(generation.token_ids[:-1])
        if generation.stop == "length":
            assert len(generation.token_ids) == decoding.max_response_tokens
            assert generation.token_ids[-1] not in ends


def test_the_end_of_sequence_is_not_in_the_text(engine, decoding):
    for generation in flat(engine.generate(requests_of(engine), decoding)):
        assert "<eos>" not in generation.text


def test_the_same_request_gets_the_same_responses(engine, decoding):
    first, second = (flat(engine.generate(requests_of(engine), decoding)) for _ in range(2))
    assert all(same(one, other) for one, other in zip(first, second, strict=True))


def test_responses_do_not_depend_on_the_order_of_the_requests(engine, decoding):
    requests = requests_of(engine)
    forwards = engine.generate(requests, decoding)
    backwards = engine.generate(requests[::-1], decoding)[::-1]
    assert all(same(one, other) for one, other in zip(flat(forwards), flat(backwards), strict=True))


def test_every_finished_request_is_told_of_once_with_what_is_returned(engine, decoding):
    full = GenerationRequest("full", engine.encode("w1 " * WINDOW), (3, 4))
    told = []
    answers = engine.generate([*requests_of(engine), full], decoding, lambda *of_it: told.append(of_it))
    assert sorted(told, key=lambda of_it: of_it[0]) == list(enumerate(answers))


def test_nothing_asked_gives_nothing(engine):
    assert engine.generate([], PLAIN) == []
    assert engine.generate([GenerationRequest("q", engine.encode("w1"), ())], PLAIN) == [()]


def test_a_prompt_without_room_in_the_context_fails_alone(engine):
    good = GenerationRequest("good", engine.encode("w1 w2"), (1, 2))
    full = GenerationRequest("full", engine.encode("w1 " * WINDOW), (3, 4, 5))
    empty = GenerationRequest("empty", (), (6,))
    answers = engine.generate([full, good, empty], PLAIN)
    assert all(isinstance(answer, GenerationFailure) for answer in (*answers[0], *answers[2]))
    assert [len(group) for group in answers] == [3, 2, 1]
    alone = engine.generate([good], PLAIN)
    assert all(same(one, other) for one, other in zip(flat([answers[1]]), flat(alone), strict=True))


def test_prompt_and_response_fit_into_the_context_window(engine):
    room = 5
    length = WINDOW - room - (len(engine.encode("w1")) - 1)
    prompt = engine.encode("w1 " * length)
    assert len(prompt) == WINDOW - room
    unbounded = PLAIN.model_copy(update={"max_response_tokens": 4 * WINDOW})
    answers = flat(engine.generate([GenerationRequest("q", prompt, tuple(range(8)))], unbounded))
    assert max(len(generation.token_ids) for generation in answers) == room


def test_an_encoded_prompt_holds_the_message_and_more(engine):
    assert len(engine.encode("w1 w2 w3")) > len(engine.tokenize("w1 w2 w3")) == 3
    assert engine.encode("w1 w2") == engine.encode("w1 w2") != engine.encode("w2 w1")


def test_bare_text_has_the_tokens_of_its_parts(engine):
    assert engine.tokenize("w1 w2") + engine.tokenize("w3") == engine.tokenize("w1 w2 w3")
    assert engine.tokenize("") == ()


PREFIXES = ("w7", "", "w9 w8 w7 w6 w5", "w7 w7")
"""Of each of the requests."""


def forced(engine: RolloutEngine) -> list[GenerationRequest]:
    return [
        replace(request, prefix_ids=engine.tokenize(prefix))
        for request, prefix in zip(requests_of(engine), PREFIXES, strict=True)
    ]


def test_a_prefix_begins_the_text_and_is_continued_as_if_it_ended_the_prompt(engine, decoding):
    requests = forced(engine)
    for request, prefix, group in zip(requests, PREFIXES, engine.generate(requests, decoding), strict=True):
        ended = replace(request, prompt_ids=request.prompt_ids + request.prefix_ids, prefix_ids=())
        left = decoding.max_response_tokens - len(request.prefix_ids)
        alone = engine.generate([ended], decoding.model_copy(update={"max_response_tokens": left}))
        for continued, drawn in zip(flat([group]), flat(alone), strict=True):
            assert same(continued, replace(drawn, text=f"{prefix} {drawn.text}".strip()))


def test_a_prefix_counts_towards_the_limit_of_the_response(engine):
    for request, group in zip(forced(engine), engine.generate(forced(engine), PLAIN), strict=True):
        left = PLAIN.max_response_tokens - len(request.prefix_ids)
        assert all(len(each.token_ids) == left for each in flat([group]) if each.stop == "length")
        assert all(len(each.token_ids) <= left for each in flat([group]))


@pytest.mark.parametrize("most", [PLAIN.max_response_tokens, 4 * WINDOW])
def test_a_prefix_that_leaves_nothing_to_draw_fails_alone_and_says_so(engine, most):
    decoding = PLAIN.model_copy(update={"max_response_tokens": most})
    prompt = engine.encode("w1")
    room = min(most, WINDOW - len(prompt))
    long, fits = (
        GenerationRequest("q", prompt, (1, 2), engine.tokenize("w3 " * length)) for length in (room, room - 1)
    )
    (failed, continued) = engine.generate([long, fits], decoding)
    assert [len(each.token_ids) for each in flat([continued])] == [1, 1]
    assert all(isinstance(each, GenerationFailure) and "prefix" in each.cause for each in failed)
