"""Adapters that go to a server beside the checkpoint's weights: their names, and who samples from them."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import PreTrainedModel

from tests.fakes.vllm_server import FakeVllm, fake_vllm
from tests.learning import random_rows, tiny_learner
from tests.tiny import save_checkpoint, tiny_model
from tests.unit.engines.vllm.engines import PLAIN, engine_on, expected, given, questions, tokens
from zppo.engines.vllm.engine import VllmEngine
from zppo.engines.vllm.weights import Weights
from zppo.errors import EngineError
from zppo.learners.torch import TorchLearner
from zppo.ports import MiniBatch

LORA = {"lora": {"rank": 4, "alpha": 8}, "learning_rate": 1e-2}


def followed(tmp_path: Path) -> tuple[PreTrainedModel, Weights]:
    """Weights that follow a module, which has no adapters yet."""
    checkpoint = save_checkpoint(tmp_path / "checkpoint")
    model, weights = tiny_model("llama"), Weights(checkpoint, "tiny", "sha256:tiny", tmp_path / "weights")
    weights.follow(model)
    return model, weights


def engine_over(weights: Weights, *fakes: FakeVllm) -> VllmEngine:
    return engine_on(given(*fakes), weights, adapters=True)


def update(learner: TorchLearner, seed: int) -> None:
    learner.update(MiniBatch(tuple(random_rows(4, seed))))


def ask(engine: VllmEngine, fake: FakeVllm) -> set[str]:
    """Draw something; returns the names that the requests gave in place of a model's."""
    before = len(fake.bodies)
    assert tokens(engine.generate(questions(2), PLAIN)) == expected(questions(2))
    return {body["model"] for body in fake.bodies[before:]}


def test_every_request_names_the_adapter_by_its_content_and_no_other_is_held(tmp_path: Path) -> None:
    model, weights = followed(tmp_path)
    with fake_vllm() as fake:
        engine = engine_over(weights, fake)
        assert ask(engine, fake) == {"served"}  # the checkpoint's own weights
        learner = tiny_learner(model, **LORA)
        names = []
        for seed in range(3):
            update(learner, seed)
            assert ask(engine, fake) == {weights.name} == fake.adapters.keys()
            names.append(weights.name)
        assert len(set(names)) == 3
        assert fake.weights == "default"
        assert not fake.loaded
        assert fake.calls.count("/v1/load_lora_adapter") == fake.calls.count("/reset_prefix_cache") == 3
        ask(engine, fake)
        assert fake.calls.count("/v1/load_lora_adapter") == 3


def test_a_server_that_comes_back_without_the_adapter_gets_it_again(tmp_path: Path) -> None:
    model, weights = followed(tmp_path)
    update(tiny_learner(model, **LORA), 0)
    with fake_vllm() as fake:
        engine = engine_over(weights, fake)
        ask(engine, fake)
        fake.adapters.clear()
        assert ask(engine, fake) == {weights.name} == fake.adapters.keys()


def test_a_server_that_holds_other_weights_than_the_checkpoints_gets_these_below_the_adapter(
    tmp_path: Path,
) -> None:
    model, weights = followed(tmp_path)
    update(tiny_learner(model, **LORA), 0)
    with fake_vllm() as fake:
        fake.weights = "another run's"
        ask(engine_over(weights, fake), fake)
        assert fake.loaded == [str(tmp_path / "checkpoint")]
        assert fake.weights == weights.digest


def test_an_adapter_on_disk_is_what_peft_writes_and_only_the_last_is_kept(tmp_path: Path) -> None:
    model, weights = followed(tmp_path)
    weights.look()
    assert weights.adapter() is None
    learner = tiny_learner(model, **LORA)
    written = []
    for seed in range(2):
        update(learner, seed)
        weights.look()
        directory = weights.adapter()
        assert directory is not None
        written.append(directory)
    assert [each.is_dir() for each in written] == [False, True]
    learner.save(tmp_path / "saved")
    theirs = load_file(tmp_path / "saved/adapter/adapter_model.safetensors")
    ours = load_file(written[-1] / "adapter_model.safetensors")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    mine, peft = (
        json.loads((each / "adapter_config.json").read_text())
        for each in (written[-1], tmp_path / "saved/adapter")
    )
    for told in ("peft_type", "r", "lora_alpha", "bias", "use_rslora", "use_dora"):
        assert mine[told] == peft[told]
    assert set(mine["target_modules"]) == set(peft["target_modules"]) != set()


def test_a_module_without_adapters_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    model, weights = followed(tmp_path)
    with torch.no_grad():
        next(model.parameters()).mul_(1.1)
    with fake_vllm() as fake:
        with pytest.raises(EngineError, match=r"no adapters.*weight_sync to disk"):
            engine_over(weights, fake).generate(questions(1), PLAIN)
        assert not fake.bodies
