"""Tiny randomly initialised checkpoints of the architectures that the product loads."""

from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3_5Config,
    Qwen3_5ForCausalLM,
    Qwen3_5ForConditionalGeneration,
    Qwen3_5TextConfig,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from zppo.models.chat import ChatTokenizer

WORDS = ("<pad>", "<eos>", "<unk>", "<user>", "<assistant>", *(f"w{index}" for index in range(43)))
VOCABULARY = len(WORDS)
EOS = 1
TEMPLATE = (
    "{% for message in messages %}<user> {{ message['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)

_COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.15,
    "eos_token_id": EOS,
    "bos_token_id": None,
    "pad_token_id": 0,
}
_GATED_DELTA_NET = {
    "num_hidden_layers": 4,
    "head_dim": 16,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 10000.0,
        "partial_rotary_factor": 0.5,
        "mrope_section": [2, 1, 1],
    },
}
ARCHITECTURES = ("llama", "qwen2", "qwen3", "qwen3_5")


def tiny_config(architecture: str) -> PreTrainedConfig:
    """Configuration of a model with about 20k parameters."""
    if architecture == "qwen3_5":
        return Qwen3_5TextConfig(**_COMMON, **_GATED_DELTA_NET)
    classes = {"llama": LlamaConfig, "qwen2": Qwen2Config, "qwen3": Qwen3Config}
    extra = {"head_dim": 16} if architecture == "qwen3" else {}
    return classes[architecture](**_COMMON, num_hidden_layers=2, **extra)


def tiny_model(architecture: str, seed: int = 0) -> PreTrainedModel:
    """A model with random weights, float32, in evaluation mode."""
    classes = {
        "llama": LlamaForCausalLM,
        "qwen2": Qwen2ForCausalLM,
        "qwen3": Qwen3ForCausalLM,
        "qwen3_5": Qwen3_5ForCausalLM,
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return classes[architecture](tiny_config(architecture)).eval()


def multimodal_model(seed: int = 0) -> PreTrainedModel:
    """A `Qwen3_5ForConditionalGeneration`: the class that hub checkpoints of Qwen3.5 name."""
    vision = {
        "depth": 1,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_heads": 2,
        "out_hidden_size": 32,
        "num_position_embeddings": 16,
    }
    text = tiny_config("qwen3_5").to_dict()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Qwen3_5ForConditionalGeneration(Qwen3_5Config(text_config=text, vision_config=vision)).eval()


def tiny_tokenizer(template: str | None = TEMPLATE) -> PreTrainedTokenizerFast:
    """One word, one token."""
    core = Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>"))
    core.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>"
    )
    tokenizer.chat_template = template
    return tokenizer


def tiny_chat() -> ChatTokenizer:
    """The tokenizer behind its chat template."""
    return ChatTokenizer(tiny_tokenizer())


def save_checkpoint(directory: Path, architecture: str = "llama", template: str | None = TEMPLATE) -> Path:
    """Write a model and its tokenizer as an ordinary checkpoint."""
    tiny_model(architecture).save_pretrained(directory)
    tiny_tokenizer(template).save_pretrained(directory)
    return directory


def save_servable(directory: Path) -> Path:
    """Write a checkpoint whose attention heads are large enough for vLLM's kernels."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaForCausalLM(LlamaConfig(**_COMMON, num_hidden_layers=2, head_dim=32)).save_pretrained(directory)
    tiny_tokenizer().save_pretrained(directory)
    return directory
