"""Adapters: what is trained, what is written, what is read back."""

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, PreTrainedModel

from schemas.config.models import DecodingConfig, TransformersEngineConfig
from tests.learning import group_rows, tiny_learner, weights
from tests.tiny import tiny_chat, tiny_model
from tests.unit.learners.test_switches import ROWS, trained
from zppo.engines.transformers import TransformersEngine
from zppo.errors import InputError, StoreError
from zppo.learners.torch import TorchLearner
from zppo.models.adapters import save_merged
from zppo.ports import Generation, GenerationRequest, MiniBatch

LORA = {"lora": {"rank": 4, "alpha": 8}, "learning_rate": 1e-2}
DECODING = DecodingConfig(temperature=1.0, top_p=1.0, top_k=0, presence_penalty=0.0, max_response_tokens=12)


def batch(seed: int) -> MiniBatch:
    return MiniBatch(tuple(group_rows(3, seed, longest=8)))


def lora_learner(model: PreTrainedModel, updates: int = 0) -> TorchLearner:
    learner = tiny_learner(model, **LORA)
    for seed in range(updates):
        learner.update(batch(seed))
    return learner


def test_training_adapters_learns_and_leaves_the_weights_alone() -> None:
    model, before = tiny_model("llama"), weights(tiny_model("llama"))
    gains = trained(tiny_learner(model, **LORA))
    assert gains == sorted(gains)
    assert gains[-1] > gains[0] + 5
    after = weights(model)
    assert {name.replace(".base_layer", ""): after[name] for name in after if ".lora_" not in name} == before


def test_new_adapters_change_nothing() -> None:
    with_adapters, without = lora_learner(tiny_model("llama")), tiny_learner(tiny_model("llama"))
    assert with_adapters.logprobs(ROWS) == without.logprobs(ROWS)


def test_going_on_equals_never_having_stopped_to_the_bit(tmp_path: Path) -> None:
    model, restored_model = tiny_model("llama"), tiny_model("llama")
    learner, restored = lora_learner(model, updates=2), lora_learner(restored_model, updates=1)
    learner.save(tmp_path)
    restored.load(tmp_path)
    for seed in (5, 6):
        assert restored.update(batch(seed)) == learner.update(batch(seed))
    assert weights(restored_model) == weights(model)


def test_transformers_and_the_sampler_load_the_merged_checkpoint(tmp_path: Path) -> None:
    model = tiny_model("llama")
    learner = lora_learner(model, updates=3)
    learner.save(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    expected, got = learner.logprobs(ROWS), tiny_learner(loaded).logprobs(ROWS)
    assert [v for row in got for v in row] == pytest.approx([v for row in expected for v in row], abs=1e-4)
    request = [GenerationRequest("q", (3, 7, 4), seeds=(1, 2, 3))]
    texts = [
        [each.text for each in answers if isinstance(each, Generation)]
        for each_model in (model, loaded)
        for answers in TransformersEngine(each_model, tiny_chat(), TransformersEngineConfig()).generate(
            request, DECODING
        )
    ]
    assert len(texts[0]) == 3
    assert texts[0] == texts[1]


def test_peft_loads_the_adapters_onto_the_base_model(tmp_path: Path) -> None:
    from peft import PeftModel

    model, ids = tiny_model("llama"), torch.arange(8)[None]
    lora_learner(model, updates=2).save(tmp_path)
    adapted = PeftModel.from_pretrained(tiny_model("llama"), tmp_path / "adapter")
    assert torch.equal(adapted(ids).logits, model(ids).logits)


def test_a_model_without_adapters_is_written_as_ever(tmp_path: Path) -> None:
    model = tiny_model("llama")
    save_merged(model, tmp_path)
    assert weights(AutoModelForCausalLM.from_pretrained(tmp_path)) == weights(model)


def drop_tensor(path: Path) -> None:
    tensors = load_file(path)
    save_file(dict(list(tensors.items())[1:]), path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [(Path.unlink, "cannot read the adapters"), (drop_tensor, "other layers or another rank")],
)
def test_damaged_adapters_are_refused_and_change_nothing(
    damage: object, message: str, tmp_path: Path
) -> None:
    learner = lora_learner(tiny_model("llama"), updates=1)
    learner.save(tmp_path)
    learner.update(batch(1))
    before = learner.logprobs(ROWS)
    damage(tmp_path / "adapter" / "adapter_model.safetensors")  # type: ignore[operator]
    with pytest.raises(StoreError, match=message):
        learner.load(tmp_path)
    assert learner.logprobs(ROWS) == before


def test_targets_that_the_model_lacks_are_refused() -> None:
    with pytest.raises(InputError, match=r"learner\.lora\.targets \['nothing'\] do not fit"):
        tiny_learner(lora={"targets": ("nothing",)})


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(InputError, match=r"pip install 'zppo\[lora\]'"):
        tiny_learner(**LORA)
