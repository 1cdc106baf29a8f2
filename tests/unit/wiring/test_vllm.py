"""What vLLM's servers are given to load."""

from tests.learning import random_rows, tiny_learner
from tests.tiny import save_checkpoint
from zppo.ports import MiniBatch
from zppo.wiring.vllm import servable


def test_a_plain_checkpoint_is_served_where_it_lies(tmp_path):
    checkpoint = save_checkpoint(tmp_path / "checkpoint")
    assert servable(checkpoint, tmp_path) == checkpoint


def test_a_learners_checkpoint_is_served_without_its_optimizer(tmp_path):
    learner, checkpoint, scratch = tiny_learner(), tmp_path / "00002", tmp_path / "scratch"
    learner.update(MiniBatch(tuple(random_rows(4))))
    learner.save(checkpoint)
    scratch.mkdir()
    view = servable(checkpoint, scratch)
    assert [file.name for file in view.glob("*.safetensors")] == ["model.safetensors"]
    names = {file.name for file in view.iterdir()}
    assert {"config.json", "generation_config.json", "tokenizer.json"} <= names
    assert (view / "model.safetensors").read_bytes() == (checkpoint / "model.safetensors").read_bytes()
