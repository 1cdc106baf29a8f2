"""The two models that are measured, and words for them."""

from pathlib import Path
from random import Random

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

POCKET = Path(__file__).parents[2] / "zppo" / "pocket" / "student"
BARE = "{{ messages[0]['content'] }}"
"""A chat template that adds nothing, so that every trainer is given the same tokens."""
SMOLLM2 = "SmolLM2-135M's shape"


def load_pocket() -> PreTrainedModel:
    """The pocket student."""
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(POCKET, dtype=torch.float32)
    return model


def smollm2_shape() -> PreTrainedModel:
    """A Llama of SmolLM2-135M's shape with random weights, the same at each call."""
    config = LlamaConfig(
        vocab_size=49_152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LlamaForCausalLM(config)  # type: ignore[no-untyped-call]


MODELS = {"pocket": load_pocket, SMOLLM2: smollm2_shape}


def words(vocabulary: int) -> PreTrainedTokenizerFast:
    """A tokenizer with a word `w7` for each token 7, a bare chat template, and no end that a model knows.

    Token 0 stands for end and padding; neither model writes it, so that responses reach their limit.
    """
    core = Tokenizer(WordLevel({f"w{index}": index for index in range(vocabulary)}, unk_token="w0"))
    core.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=core, pad_token="w0", eos_token="w0", padding_side="left"
    )
    tokenizer.chat_template = BARE
    return tokenizer


def prompts_of(count: int, tokens: int, vocabulary: int) -> list[str]:
    """Prompts of so many random words of `words`; the first one says which prompt it is."""
    random = Random(0)
    return [
        " ".join([f"w{5 + place}", *(f"w{random.randrange(5, vocabulary)}" for _ in range(tokens - 1))])
        for place in range(count)
    ]


def save_endless(model: PreTrainedModel, directory: Path) -> None:
    """Write a model with `words` as an ordinary checkpoint."""
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        do_sample=True, eos_token_id=0, pad_token_id=0
    )
    model.config.eos_token_id = model.config.pad_token_id = 0
    model.config.bos_token_id = None
    model.save_pretrained(directory)
    words(model.config.vocab_size).save_pretrained(directory)


def save_pocket(directory: Path) -> PreTrainedTokenizerBase:
    """Write the pocket student with a bare chat template; returns its own tokenizer."""
    load_pocket().save_pretrained(directory)
    tokenizer = AutoTokenizer.from_pretrained(POCKET)
    tokenizer.chat_template = BARE
    tokenizer.save_pretrained(directory)
    return AutoTokenizer.from_pretrained(POCKET)
