"""Checkpoints of the torch learner."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, PreTrainedModel

from schemas.checkpoint import LearnerState
from tests.learning import random_rows, tiny_learner, weights
from tests.tiny import ARCHITECTURES, multimodal_model, tiny_config, tiny_model
from zppo.errors import StoreError
from zppo.ports import MiniBatch


def batch(seed: int) -> MiniBatch:
    return MiniBatch(tuple(random_rows(6, seed)))


def tied_model(seed: int = 0) -> PreTrainedModel:
    config = tiny_config("llama")
    config.tie_word_embeddings = True
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)  # type: ignore[no-untyped-call]


def bfloat16_model(seed: int = 0) -> PreTrainedModel:
    return tiny_model("llama", seed).bfloat16()


MODELS: dict[str, Callable[..., PreTrainedModel]] = {
    **{name: partial(tiny_model, name) for name in ARCHITECTURES},
    "tied": tied_model,
    "bfloat16": bfloat16_model,
    "qwen3_5 multimodal": multimodal_model,
}


@pytest.mark.parametrize("name", MODELS)
def test_going_on_equals_never_having_stopped_to_the_bit(name: str, tmp_path: Path) -> None:
    model = MODELS[name]()
    learner = tiny_learner(model, warmup_updates=4)
    for seed in range(2):
        learner.update(batch(seed))
    learner.save(tmp_path)
    restored_model = MODELS[name](seed=1)
    restored = tiny_learner(restored_model, warmup_updates=4)
    restored.load(tmp_path)
    assert weights(restored_model) == weights(model)
    for seed in range(2, 5):
        assert restored.update(batch(seed)) == learner.update(batch(seed))
    assert weights(restored_model) == weights(model)


def test_a_checkpoint_before_the_first_update_restores_an_optimizer_without_moments(tmp_path: Path) -> None:
    learner, model = tiny_learner(), tiny_model("llama", seed=1)
    learner.save(tmp_path)
    restored = tiny_learner(model)
    restored.update(batch(0))
    restored.load(tmp_path)
    assert restored.update(batch(1)) == learner.update(batch(1))
    assert restored.update(batch(2)) == learner.update(batch(2))


def test_transformers_loads_the_checkpoint_with_its_tokenizer(tmp_path: Path) -> None:
    model = tiny_model("llama")
    learner = tiny_learner(model)
    learner.update(batch(0))
    learner.save(tmp_path)
    assert weights(AutoModelForCausalLM.from_pretrained(tmp_path)) == weights(model)
    assert AutoTokenizer.from_pretrained(tmp_path).encode("w1 w2") == [6, 7]
    assert not [path for path in tmp_path.iterdir() if path.suffix in {".bin", ".pt", ".pkl", ".pth"}]


def test_tied_weights_have_one_set_of_moments(tmp_path: Path) -> None:
    model = tied_model()
    learner = tiny_learner(model)
    learner.update(batch(0))
    learner.save(tmp_path)
    names = {name.rsplit(".", 1)[0] for name in load_file(tmp_path / "optimizer.safetensors")}
    assert names == {name for name, _ in model.named_parameters()}
    state = LearnerState.model_validate_json((tmp_path / "learner.json").read_bytes())
    assert state == LearnerState(updates=1, parameters=sum(weight.numel() for weight in model.parameters()))


def damage_optimizer(directory: Path) -> None:
    (directory / "optimizer.safetensors").write_bytes(b"not a tensor")


def drop_moment(directory: Path) -> None:
    tensors = load_file(directory / "optimizer.safetensors")
    del tensors["model.norm.weight.exp_avg"]
    save_file(tensors, directory / "optimizer.safetensors")


def drop_weight(directory: Path) -> None:
    tensors = load_file(directory / "model.safetensors")
    del tensors["model.norm.weight"]
    save_file(tensors, directory / "model.safetensors", {"format": "pt"})


def truncate_weights(directory: Path) -> None:
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def damage_state(directory: Path) -> None:
    (directory / "learner.json").write_text(json.dumps({"updates": -1}))


@pytest.mark.parametrize(
    "harm",
    [damage_optimizer, drop_moment, drop_weight, truncate_weights, damage_state],
    ids=lambda f: f.__name__,
)
def test_a_damaged_checkpoint_raises_and_changes_nothing(
    harm: Callable[[Path], None], tmp_path: Path
) -> None:
    learner = tiny_learner()
    learner.update(batch(0))
    learner.save(tmp_path)
    harm(tmp_path)
    model = tiny_model("llama", seed=1)
    before = weights(model)
    restored = tiny_learner(model)
    with pytest.raises(StoreError):
        restored.load(tmp_path)
    assert weights(model) == before


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    tiny_learner().save(tmp_path)
    with pytest.raises(StoreError, match="trained parameters"):
        tiny_learner(tiny_model("qwen3")).load(tmp_path)
