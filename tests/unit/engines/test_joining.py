"""Rows that join a running batch: what they must not change, and what they must not cost."""

import inspect
from collections.abc import Iterator
from dataclasses import replace
from weakref import WeakSet

import pytest

from schemas.config.models import DecodingConfig, TransformersEngineConfig
from tests.tiny import ARCHITECTURES, VOCABULARY, tiny_chat, tiny_model
from tests.unit.engines.test_transformers import PLAIN, one_by_one, some_requests, transformed
from zppo.engines import batching, decoding
from zppo.engines.cache import PreallocatedLayer
from zppo.engines.transformers import TransformersEngine
from zppo.ports import Generation, GenerationFailure, GenerationRequest

LENGTHS = (1, 3, 3, 9, 17, 40, 41, 60, 2, 2, 30, 8)
BUDGETS = [100, 400, 700]
GREEDY = DecodingConfig(temperature=0.0, presence_penalty=0.0, max_response_tokens=16)
DECODINGS = {
    "greedy": GREEDY,
    "presence": GREEDY.model_copy(update={"presence_penalty": 1.5}),
    "repetition": GREEDY.model_copy(update={"repetition_penalty": 1.3}),
    "both": GREEDY.model_copy(update={"presence_penalty": 0.5, "repetition_penalty": 1.2}),
}


@pytest.fixture(autouse=True)
def _impatience(monkeypatch) -> None:
    monkeypatch.setattr(batching, "_PATIENCE", 0.0)


@pytest.fixture
def joins(monkeypatch) -> Iterator[list[int]]:
    """How many rows joined, each time."""
    counts: list[int] = []
    join = decoding.joined

    def counted(running, new):
        counts.append(len(new.rows))
        return join(running, new)

    monkeypatch.setattr(decoding, "joined", counted)
    yield counts
    assert counts, "nothing joined, so nothing was tested"


def ending(model, share: int = 7):
    """The model with so many ends that responses have different lengths."""
    model.generation_config.eos_token_id = list(range(1, VOCABULARY, share))
    return model


def engine_of(model, max_batch_tokens: int) -> TransformersEngine:
    return TransformersEngine(model, tiny_chat(), TransformersEngineConfig(max_batch_tokens=max_batch_tokens))


def check_equal(joined, alone) -> None:
    for group, expected in zip(joined, alone, strict=True):
        for one, other in zip(group, expected, strict=True):
            assert isinstance(one, Generation)
            assert (one.token_ids, one.stop, one.text) == (other.token_ids, other.stop, other.text)
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)


@pytest.mark.parametrize(
    ("architecture", "decoding"),
    [*((each, "both") for each in ARCHITECTURES), ("llama", "greedy"), ("llama", "presence")],
)
def test_responses_that_joined_are_those_of_single_requests(architecture, decoding, joins):
    model = ending(tiny_model(architecture))
    requests = some_requests(LENGTHS, group=1)
    alone = one_by_one(engine_of(model, 65536), requests, DECODINGS[decoding])
    for budget in BUDGETS:
        check_equal(engine_of(model, budget).generate(requests, DECODINGS[decoding]), alone)


@pytest.mark.parametrize("patience", [0.0, 2.0])
@pytest.mark.parametrize("decoding", [PLAIN, DecodingConfig(max_response_tokens=16)], ids=["plain", "paper"])
def test_samples_that_joined_are_those_of_single_requests(decoding, patience, joins, monkeypatch):
    monkeypatch.setattr(batching, "_PATIENCE", patience)
    model = ending(tiny_model("llama").double())
    requests = some_requests(LENGTHS, group=3)
    alone = one_by_one(engine_of(model, 65536), requests, decoding)
    for budget in BUDGETS:
        check_equal(engine_of(model, budget).generate(requests, decoding), alone)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_joining_is_safe_with_every_attention_implementation(attention, joins):
    model = ending(tiny_model("qwen3_5"))
    model.set_attn_implementation(attention)
    requests = some_requests(LENGTHS, group=1)
    alone = one_by_one(engine_of(model, 65536), requests, GREEDY)
    check_equal(engine_of(model, 300).generate(requests, GREEDY), alone)


def test_forced_prefixes_and_their_limits_hold_for_rows_that_join(joins):
    model = ending(tiny_model("llama").double())
    requests = [
        replace(request, prefix_ids=(7, 8, 9, 11, 7)[: place % 6])
        for place, request in enumerate(some_requests(LENGTHS, group=2))
    ]
    alone = one_by_one(engine_of(model, 65536), requests, DECODINGS["both"])
    check_equal(engine_of(model, 400).generate(requests, DECODINGS["both"]), alone)


def test_rows_at_the_edge_of_the_window_end_there_and_others_join_them(joins):
    model = ending(tiny_model("llama").double(), share=20)
    decoding = GREEDY.model_copy(update={"max_response_tokens": 60})
    requests = some_requests((255, 254, 250, 240, 230, 220, 200, 100, 50, 3), group=1)
    alone = one_by_one(engine_of(model, 65536), requests, decoding)
    assert {len(group[0].token_ids) for group in alone[:2]} == {1, 2}
    check_equal(engine_of(model, 800).generate(requests, decoding), alone)


def test_nan_logits_fail_their_own_response_and_no_row_that_joins(joins):
    cursed = 20

    def curse(input_ids, logits):
        return logits.masked_fill((input_ids[:, -1:] == cursed)[:, :, None], float("nan"))

    requests = some_requests(LENGTHS, group=3)
    clean = one_by_one(engine_of(ending(tiny_model("llama").double()), 65536), requests, PLAIN)
    model = transformed(ending(tiny_model("llama").double()), curse)
    failures = 0
    for request, group, expected in zip(
        requests, engine_of(model, 400).generate(requests, PLAIN), clean, strict=True
    ):
        for after, before in zip(group, expected, strict=True):
            if request.prompt_ids[-1] == cursed or cursed in before.token_ids[:-1]:
                assert isinstance(after, GenerationFailure)
                failures += 1
            else:
                assert after.token_ids == before.token_ids
    assert failures


@pytest.mark.parametrize("budget", [70, 100, 300, 500, 900])
@pytest.mark.parametrize("architecture", ["llama", "qwen3_5"])
def test_all_caches_together_stay_under_the_bound(architecture, budget, monkeypatch):
    caches = WeakSet()
    make = decoding.new_cache

    def made(*arguments):
        cache = make(*arguments)
        caches.update(layer for layer in cache.layers if isinstance(layer, PreallocatedLayer))
        return cache

    def count(input_ids, logits):
        rows = len(input_ids)
        reserved.append(sum(len(layer.keys) * layer.reserved for layer in caches) / layers)
        assert reserved[-1] <= budget or rows == 1
        return logits

    monkeypatch.setattr(decoding, "new_cache", made)
    model = transformed(ending(tiny_model(architecture)), count)
    layers = {"llama": model.config.num_hidden_layers, "qwen3_5": 1}[architecture]
    reserved: list[float] = []
    engine_of(model, budget).generate(some_requests(LENGTHS, group=3), PLAIN)
    assert max(reserved) > 0


def watched(model, see):
    """The model, with `see(rows, new tokens, columns)` told of every pass."""
    forward = model.forward

    def seen(input_ids, past_key_values, **kwargs):
        output = forward(input_ids=input_ids, past_key_values=past_key_values, **kwargs)
        see(*input_ids.shape, past_key_values.get_seq_length())
        return output

    seen.__signature__ = inspect.signature(forward)
    model.forward = seen
    return model


def test_prompts_are_prefilled_once_also_where_they_join(joins):
    passes = []
    model = watched(ending(tiny_model("llama")), lambda *shape: passes.append(shape))
    requests = some_requests((9, 9, 5, 5, 4, 3, 8, 7), group=4)
    engine_of(model, 12 * 25).generate(requests, PLAIN)
    assert sum(rows for rows, new, _ in passes if new > 1) == len(requests)
    assert max(rows for rows, _, _ in passes) <= 12


def test_a_request_is_told_of_while_others_are_still_drawn(joins):
    passes = []
    model = watched(ending(tiny_model("llama")), lambda *shape: passes.append(shape))
    told = {}
    engine_of(model, 400).generate(
        some_requests(LENGTHS, group=2), PLAIN, lambda place, _: told.setdefault(place, len(passes))
    )
    assert sorted(told) == list(range(len(LENGTHS)))
    assert len(set(told.values())) > 4
    assert min(told.values()) < len(passes) / 2


def test_columns_that_no_row_needs_are_given_up_where_the_batch_never_empties(joins):
    columns = []
    model = watched(ending(tiny_model("llama"), share=12), lambda *shape: columns.append(shape[2]))
    requests = [GenerationRequest(f"q{place}", (5, 6, 7), (place,)) for place in range(60)]
    engine_of(model, 8 * 19).generate(requests, PLAIN)
    assert max(columns) <= 3 + PLAIN.max_response_tokens


def test_a_call_that_fits_gives_the_same_to_the_bit_whatever_the_bound():
    model = ending(tiny_model("llama"))
    requests = some_requests(LENGTHS, group=2)
    together = 2 * len(LENGTHS) * (max(LENGTHS) + PLAIN.max_response_tokens)
    assert engine_of(model, together).generate(requests, PLAIN) == engine_of(model, 10**6).generate(
        requests, PLAIN
    )
