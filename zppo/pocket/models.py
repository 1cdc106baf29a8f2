"""The architectures: plain Hugging Face Llamas of under a million parameters."""

import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from zppo.pocket.tokenizer import CONTEXT

HEAD_SIZE = 32
PREVIOUS_TOKEN_SHARPNESS = 6.0
"""Size of the biases that make the first head look one token back: it gets 0.97 of the attention."""


def make_student(tokenizer: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """A student with random weights: 0.3 million parameters."""
    return _make_llama(tokenizer, seed, hidden=96, layers=3, intermediate=192)


def make_teacher(tokenizer: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """A teacher with random weights: 0.5 million parameters."""
    return _make_llama(tokenizer, seed, hidden=128, layers=3, intermediate=256)


def _make_llama(
    tokenizer: PreTrainedTokenizerFast, seed: int, hidden: int, layers: int, intermediate: int
) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=hidden // HEAD_SIZE,
        num_key_value_heads=hidden // HEAD_SIZE,
        max_position_embeddings=CONTEXT,
        attention_bias=True,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.05,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)  # type: ignore[no-untyped-call]
    _look_back(model)
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return model


@torch.no_grad()
def _look_back(model: LlamaForCausalLM) -> None:
    """Let the first head of the first layer start as one that attends to the previous token.

    Copying needs such a head (Olsson et al. 2022, "In-context learning and induction heads"); finding it
    by chance is most of a small model's training time. A query and a key that are constant but for the
    rotary embedding, the key turned ahead by one position, score highest at distance one.
    """
    attention = model.model.layers[0].self_attn
    angles = model.model.rotary_emb.inv_freq
    zeros = torch.zeros_like(angles)
    query = torch.cat([torch.ones_like(angles), zeros])
    key = torch.cat([angles.cos(), angles.sin()])
    for projection, bias in ((attention.q_proj, query), (attention.k_proj, key)):
        projection.weight[:HEAD_SIZE] = 0.0
        projection.bias[:HEAD_SIZE] = PREVIOUS_TOKEN_SHARPNESS * bias
