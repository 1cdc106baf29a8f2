"""The divergence that distillation minimises, token by token (PyTorch)."""

import math

import torch
from torch import Tensor


def jensen_shannon(student_logprobs_TV: Tensor, teacher_logprobs_TV: Tensor) -> Tensor:
    """Jensen-Shannon divergence of each token's two distributions, with equal weights.

    `(KL(p || m) + KL(q || m)) / 2` with `m = (p + q) / 2` (Lin 1991, https://doi.org/10.1109/18.61115): in
    nats, symmetric, 0 for equal distributions and `ln 2` for disjoint ones, up to rounding. The mixture
    stays in log space, so a probability that underflows contributes 0 and its gradient stays finite.

    Args:
        student_logprobs_TV: Normalised log-probabilities of the whole vocabulary, finite.
        teacher_logprobs_TV: The same of the teacher; no gradient reaches it.

    Returns:
        `divergences_T`, with gradient to the student.
    """
    teacher_TV = teacher_logprobs_TV.detach()
    mixture_TV = torch.logaddexp(student_logprobs_TV, teacher_TV) - math.log(2)
    student_T = (student_logprobs_TV.exp() * (student_logprobs_TV - mixture_TV)).sum(-1)
    teacher_T = (teacher_TV.exp() * (teacher_TV - mixture_TV)).sum(-1)
    return (student_T + teacher_T) / 2
