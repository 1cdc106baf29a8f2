"""Output layers over chunks of tokens: the logits of a whole micro-batch are never in memory."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from zppo.core.divergence import jensen_shannon

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

    Args:
        head: The linear map from hidden states to logits; its `weight` is `[V, H]`.
        hidden_TH: Final hidden states at the positions that predict the targets.
        targets_T: Token ids.
        temperature: The logits are divided by it.
        max_chunk_logits: Bound on tokens times vocabulary of a chunk, which holds at least one token.

    Returns:
        `logprobs_T` in float32 with gradient, and `entropies_T` in nats without.
    """

    def score(hidden_TH: Tensor, targets_T: Tensor) -> tuple[Tensor, Tensor]:
        logprobs_TV = (head(hidden_TH).float() / temperature).log_softmax(-1)
        return logprobs_TV.gather(-1, targets_T[:, None]).squeeze(-1), _entropies(logprobs_TV)

    return _in_chunks(score, hidden_TH, targets_T, max_chunk_logits // _width(head))


def compare_tokens(
    student_head: nn.Module,
    student_TH: Tensor,
    teacher_head: nn.Module,
    teacher_TH: Tensor,
    max_chunk_logits: int = MAX_CHUNK_LOGITS,
) -> tuple[Tensor, Tensor]:
    """Jensen-Shannon divergence of student and teacher at each token, at temperature 1.

    Where one output layer is wider than the other, its entries beyond the narrower one are left out. They
    are padding that stands for no token, since both models share a tokenizer.

    Args:
        student_head: The linear map from hidden states to logits; its `weight` is `[V, H]`.
        student_TH: Final hidden states at the positions that are compared.
        teacher_head: The teacher's linear map, from hidden states of any size.
        teacher_TH: The teacher's final hidden states at the same positions, without gradient.
        max_chunk_logits: Bound on tokens times both vocabularies of a chunk, which holds at least one token.

    Returns:
        `divergences_T` in float32 with gradient to the student alone, and the student's `entropies_T`; both
        in nats.
    """
    widths = _width(student_head), _width(teacher_head)

    def compare(student_TH: Tensor, teacher_TH: Tensor) -> tuple[Tensor, Tensor]:
        logprobs_TV = student_head(student_TH)[:, : min(widths)].float().log_softmax(-1)
        with torch.no_grad():
            teacher_TV = teacher_head(teacher_TH)[:, : min(widths)].float().log_softmax(-1)
        return jensen_shannon(logprobs_TV, teacher_TV), _entropies(logprobs_TV)

    return _in_chunks(compare, student_TH, teacher_TH, max_chunk_logits // sum(widths))


def _in_chunks(
    compute: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], first_T: Tensor, second_T: Tensor, chunk: int
) -> tuple[Tensor, Tensor]:
    """Run over `chunk` tokens at a time, of which the backward pass computes each again.

    Few tokens, or a small vocabulary, take one chunk and no second computation.
    """
    chunk = max(1, chunk)
    if len(first_T) <= chunk:
        return compute(first_T, second_T)
    results = [
        checkpoint(compute, first, second, use_reentrant=False, preserve_rng_state=False)
        for first, second in zip(torch.split(first_T, chunk), torch.split(second_T, chunk), strict=True)
    ]
    values, entropies = zip(*results, strict=True)
    return torch.cat(values), torch.cat(entropies)


@torch.no_grad()
def _entropies(logprobs_TV: Tensor) -> Tensor:
    entropies_T: Tensor = torch.special.entr(logprobs_TV.exp()).sum(-1)
    return entropies_T


def _width(head: nn.Module) -> int:
    return head.get_parameter("weight").shape[0]
