import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import MistralConfig
from transformers.cache_utils import DynamicLayer

from tests.tiny import ARCHITECTURES, tiny_config
from zppo.engines.cache import PreallocatedLayer, can_join, new_cache

STEPS = st.lists(
    st.one_of(st.integers(1, 5), st.lists(st.integers(0, 100), min_size=1, max_size=6)), max_size=20
)  # a number appends so many tokens, a list selects rows


@given(STEPS, st.integers(1, 40))
def test_a_preallocated_layer_holds_what_a_dynamic_one_holds(steps, capacity):
    generator = torch.Generator().manual_seed(0)
    layers = [PreallocatedLayer(capacity), DynamicLayer()]
    rows = 3
    for step in steps:
        if isinstance(step, int):
            keys, values = (torch.rand(rows, 2, step, 4, generator=generator) for _ in range(2))
            ours, theirs = (layer.update(keys, values) for layer in layers)
            assert torch.equal(ours[0], theirs[0])
            assert torch.equal(ours[1], theirs[1])
        else:
            kept = torch.tensor([place % rows for place in step])
            if layers[0].get_seq_length():
                rows = len(kept)
            for layer in layers:
                layer.reorder_cache(kept)
        assert layers[0].get_seq_length() == layers[1].get_seq_length()


def test_a_token_is_written_in_place():
    layer = PreallocatedLayer(capacity=64)
    token = torch.zeros(1, 1, 1, 2)
    keys = [layer.update(token, token)[0].data_ptr() for _ in range(64)]
    assert len(set(keys)) <= 7


def test_full_attention_layers_are_preallocated_and_recurrent_ones_are_not():
    layers = new_cache(tiny_config("qwen3_5"), capacity=8).layers
    assert [isinstance(layer, PreallocatedLayer) for layer in layers] == [False, False, False, True]


@given(
    running=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    new=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    steps=st.integers(0, 3),
)
def test_joined_rows_hold_their_own_tokens_in_line_after_zeros(running, new, steps):
    running, new = sorted(running), sorted(min(length, max(running)) for length in new)
    layers, states = [], []
    for lengths in (running, new):
        tokens = torch.rand(len(lengths), 2, max(lengths), 4) + 1
        layer = PreallocatedLayer(capacity=20)
        layer.update(tokens, -tokens)
        layers.append(layer)
        states.append(tokens)
    owners = torch.tensor([0, *range(len(new))])
    layers[0].join(layers[1], owners)
    fed = torch.rand(len(running) + len(owners), 2, steps, 4)
    keys, values = layers[0].update(fed, -fed)
    width = max(running)
    assert torch.equal(keys[: len(running), :, :width], states[0])
    assert torch.equal(keys[len(running) :, :, width - max(new) : width], states[1][owners])
    assert not keys[len(running) :, :, : width - max(new)].any()
    assert torch.equal(keys[:, :, width:], fed)
    assert torch.equal(values, -keys)


@given(st.integers(1, 12), st.integers(1, 30), st.data())
def test_a_renewed_layer_holds_the_later_tokens_within_its_new_capacity(tokens, capacity, data):
    start = data.draw(st.integers(0, tokens - 1))
    states = torch.rand(3, 2, tokens, 4)
    layer = PreallocatedLayer(capacity=40)
    layer.update(states, -states)
    layer.renew(torch.tensor([2, 0]), start, capacity)
    assert torch.equal(layer.keys, states[[2, 0], :, start:])
    assert torch.equal(layer.values, -layer.keys)
    assert layer.reserved <= max(capacity, tokens - start)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_caches_of_the_tested_architectures_can_be_joined(architecture):
    assert can_join(tiny_config(architecture))


def test_caches_of_sliding_windows_cannot_be_joined():
    assert not can_join(MistralConfig(num_hidden_layers=2, sliding_window=8))
