"""The names of weights, and where they are written."""

import pytest
import torch
from safetensors.torch import load_file
from transformers import PreTrainedModel

from tests.learning import random_rows, tiny_learner
from tests.tiny import tiny_model
from tests.unit.engines.vllm.engines import weights_of
from zppo.engines.vllm.weights import Weights, content_digest
from zppo.ports import MiniBatch


def named(weights: Weights) -> str:
    weights.look()
    return weights.name


def followed(tmp_path) -> tuple[PreTrainedModel, Weights]:
    model, weights = tiny_model("llama"), weights_of(tmp_path)
    weights.follow(model)
    return model, weights


def test_weights_keep_the_checkpoints_name_until_they_change(tmp_path):
    model, weights = followed(tmp_path)
    assert named(weights) == weights.digest == named(weights_of(tmp_path))
    assert weights.directory() == tmp_path / "checkpoint"
    with torch.no_grad():
        next(model.parameters())[3, 2] += 1e-3
    assert named(weights) != weights.digest


def test_every_update_and_every_restored_checkpoint_changes_the_name(tmp_path):
    model, weights = followed(tmp_path)
    learner, batch = tiny_learner(model), MiniBatch(tuple(random_rows(4)))
    learner.save(tmp_path / "first")
    names = [named(weights)]
    for _ in range(3):
        learner.update(batch)
        names.append(named(weights))
    assert len(set(names)) == 4
    learner.load(tmp_path / "first")
    assert named(weights) == names[0]


def test_equal_weights_have_the_same_name_in_every_process(tmp_path):
    first, second = (content_digest(tiny_model("qwen3_5", seed)) for seed in (1, 1))
    assert first == second != content_digest(tiny_model("qwen3_5", 2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_change_of_one_value_is_seen(dtype):
    model = tiny_model("llama").to(dtype)
    before = content_digest(model)
    with torch.no_grad():
        list(model.parameters())[-1].view(-1)[-1] += 0.5
    assert content_digest(model) != before


def test_changed_weights_are_written_once_and_those_before_them_removed(tmp_path):
    model, weights = followed(tmp_path)
    written = []
    for _ in range(2):
        with torch.no_grad():
            next(model.parameters()).mul_(1.1)
        weights.look()
        written.append(weights.directory())
        assert weights.directory() == written[-1]
    assert [each.is_dir() for each in written] == [False, True]
    stored = load_file(written[-1] / "model.safetensors")
    assert torch.equal(stored["model.embed_tokens.weight"], model.get_input_embeddings().weight)
    weights.remove()
    assert not written[-1].exists()
