"""Log-probabilities of given tokens, without the logits of a whole micro-batch in memory."""

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

MAX_CHUNK_LOGITS = 2**25
"""Logits alive at a time: 128 MiB in float32, of which the backward pass holds a few copies."""


def score_tokens(
    head: nn.Module,
    hidden_TH: Tensor,
    targets_T: Tensor,
    temperature: float,
    max_chunk_logits: int = MAX_CHUNK_LOGITS,
) -> tuple[Tensor, Tensor]:
    """Log-probability of each target and entropy of its distribution, both at the temperature.

    The head runs over chunks of tokens, and the backward pass computes each chunk's logits again, so at
    most `max_chunk_logits` of them are alive. Few tokens, or a small vocabulary, take one chunk and no
    second computation.

    Args:
        head: The linear map from hidden states to logits; its `weight` is `[V, H]`.
        hidden_TH: Final hidden states at the positions that predict the targets.
        targets_T: Token ids.
        temperature: The logits are divided by it.
        max_chunk_logits: Bound on tokens times vocabulary of a chunk, which holds at least one token.

    Returns:
        `logprobs_T` in float32 with gradient, and `entropies_T` in nats without.
    """
    chunk = max(1, max_chunk_logits // head.get_parameter("weight").shape[0])
    if len(targets_T) <= chunk:
        return _score(head, hidden_TH, targets_T, temperature)
    scores = [
        checkpoint(_score, head, hidden, targets, temperature, use_reentrant=False, preserve_rng_state=False)
        for hidden, targets in zip(torch.split(hidden_TH, chunk), torch.split(targets_T, chunk), strict=True)
    ]
    logprobs, entropies = zip(*scores, strict=True)
    return torch.cat(logprobs), torch.cat(entropies)


def _score(
    head: nn.Module, hidden_TH: Tensor, targets_T: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    logprobs_TV = (head(hidden_TH).float() / temperature).log_softmax(-1)
    with torch.no_grad():
        entropies_T = torch.special.entr(logprobs_TV.exp()).sum(-1)
    return logprobs_TV.gather(-1, targets_T[:, None]).squeeze(-1), entropies_T
