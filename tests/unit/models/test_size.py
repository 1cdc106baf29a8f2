import json
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig
from transformers.cache_utils import DynamicCache

from tests.tiny import ARCHITECTURES, multimodal_model, tiny_config, tiny_model
from zppo.errors import InputError
from zppo.models.shapes import TextShape, committed_shape, directory_shape
from zppo.models.size import (
    cache_bytes_per_token,
    head_flops,
    layer_flops,
    parameter_count,
    state_bytes_per_sequence,
)

COMMITTED = ("smollm2", "Qwen/Qwen3-0.6B", "Qwen/Qwen3.5-0.8B", "Qwen/Qwen3.5-27B-FP8")
VARIANTS = [
    *((architecture, {}) for architecture in ARCHITECTURES),
    ("llama", {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True}),
    ("qwen3", {"attention_bias": True, "tie_word_embeddings": True}),
    ("qwen3_5", {"tie_word_embeddings": True}),
]


def counted(config: PreTrainedConfig) -> int:
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    return sum(parameter.numel() for parameter in model.parameters())


def shape_of(config: PreTrainedConfig, directory: Path) -> TextShape:
    config.save_pretrained(directory)
    shape = directory_shape(directory)
    assert shape is not None
    return shape.text


@pytest.mark.parametrize(("architecture", "changes"), VARIANTS)
def test_the_formula_counts_the_parameters_of_the_real_class(architecture, changes, tmp_path):
    config = tiny_config(architecture)
    for name, value in changes.items():
        setattr(config, name, value)
    assert parameter_count(shape_of(config, tmp_path)) == counted(config)


@pytest.mark.parametrize("model", COMMITTED)
def test_a_committed_shape_counts_the_parameters_of_the_real_class(model):
    shape = committed_shape(model)
    fields = shape.text.model_dump(exclude={"model_type"})
    if shape.text.model_type != "qwen3_5_text":
        fields = {name: value for name, value in fields.items() if not name.startswith(("linear", "full"))}
    config = AutoConfig.for_model(shape.text.model_type, **fields)
    assert parameter_count(shape.text) == counted(config)


def test_committed_shapes_have_the_published_size():
    billions = {model: parameter_count(committed_shape(model).text) / 1e9 for model in COMMITTED}
    assert billions["smollm2"] == pytest.approx(0.135, abs=0.001)
    assert billions["Qwen/Qwen3-0.6B"] == pytest.approx(0.6, abs=0.05)
    assert billions["Qwen/Qwen3.5-0.8B"] == pytest.approx(0.8, abs=0.08)
    assert billions["Qwen/Qwen3.5-27B-FP8"] == pytest.approx(27, abs=0.5)


def test_every_committed_shape_names_its_sources():
    assert all(committed_shape(model).sources for model in COMMITTED)
    assert committed_shape("nobody/nothing") is None


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_cache_formulas_give_the_bytes_of_a_real_cache(architecture, tmp_path):
    rows, width = 3, 11
    model = tiny_model(architecture)
    cache = DynamicCache(config=model.config)
    with torch.inference_mode():
        model(input_ids=torch.full((rows, width), 7), past_key_values=cache, use_cache=True)
    tensors = []
    for layer in cache.layers:
        if hasattr(layer, "conv_states"):
            tensors += [layer.conv_states[0], layer.recurrent_states[0]]
        else:
            tensors += [layer.keys, layer.values]
    shape = shape_of(model.config, tmp_path)
    held = rows * width * cache_bytes_per_token(shape, 4) + rows * state_bytes_per_sequence(shape, 4)
    assert held == sum(tensor.nbytes for tensor in tensors)


def test_linear_layers_add_a_constant_and_full_layers_a_cost_per_token():
    hybrid, full = (committed_shape(model).text for model in ("Qwen/Qwen3.5-0.8B", "Qwen/Qwen3-0.6B"))
    assert cache_bytes_per_token(hybrid, 2) == 6 * 2 * 2 * 256 * 2
    assert state_bytes_per_sequence(hybrid, 2) > 0
    assert state_bytes_per_sequence(full, 2) == 0


def test_the_embedding_lookup_costs_no_operations():
    tied = committed_shape("Qwen/Qwen3-0.6B").text
    untied = tied.model_copy(update={"tie_word_embeddings": False})
    assert layer_flops(tied) == layer_flops(untied)
    assert layer_flops(tied) + head_flops(tied) == 2 * parameter_count(tied)


def test_a_multimodal_configuration_gives_the_shape_of_its_text_model(tmp_path):
    model = multimodal_model()
    assert parameter_count(shape_of(model.config, tmp_path)) == counted(model.config)


def test_a_family_without_formulas_has_no_shape(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    assert directory_shape(tmp_path) is None


@pytest.mark.parametrize("content", [None, "{", '{"model_type": "llama"}'])
def test_an_unusable_configuration_is_an_input_error(content, tmp_path):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError, match=r"config\.json"):
        directory_shape(tmp_path)
