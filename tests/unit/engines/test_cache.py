import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.cache_utils import DynamicLayer

from tests.tiny import tiny_config
from zppo.engines.cache import PreallocatedLayer, new_cache

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
