"""The clipped policy-gradient objective, token by token (PyTorch)."""

from dataclasses import dataclass

import torch
from torch import Tensor

_MAX_LOG_RATIO = 20.0
"""Every ratio beyond e^20 is clipped anyway; without this bound its exponential could overflow, and the
gradient of a clipped token would be 0 * inf = NaN."""


@dataclass(frozen=True)
class ClipBounds:
    """How far the probability ratio of new to old policy may move before a token stops contributing."""

    low: float = 0.20
    """For negative advantages: no gradient below `1 - low`."""
    high: float = 0.28
    """For positive advantages: no gradient above `1 + high`; larger than `low`, so that unlikely tokens
    can still gain probability (DAPO, https://arxiv.org/abs/2503.14476)."""
    dual: float = 10.0
    """For negative advantages: no gradient above this ratio (https://arxiv.org/abs/1912.09729)."""


@dataclass(frozen=True)
class SurrogateSums:
    """Sums over tokens, as scalar tensors, and what they count; only `loss` carries gradient."""

    loss: Tensor
    """The negative objective, not divided by anything."""
    clipped_low: Tensor
    """Tokens with negative advantage and ratio below `1 - low`."""
    clipped_high: Tensor
    """Tokens with positive advantage and ratio above `1 + high`."""
    clipped_dual: Tensor
    """Tokens with negative advantage and ratio above `dual`."""
    clipped_3T: Tensor
    """Those tokens themselves: whether each is clipped low, high and dual."""


def clipped_surrogate(
    logprobs_T: Tensor,
    old_logprobs_T: Tensor,
    advantages_T: Tensor,
    bounds: ClipBounds,
    importance_T: Tensor | None = None,
) -> SurrogateSums:
    """PPO's clipped surrogate with asymmetric bounds and dual clip, without a KL penalty.

    A token's objective is `min(r * A, clip(r) * A)` with `r = exp(logprob - old_logprob)`, and for `A < 0`
    no less than `dual * A`. It returns sums, because the caller divides by the response tokens of the
    whole mini-batch: then the loss does not depend on how the mini-batch was split.

    Args:
        logprobs_T: Log-probabilities of the sampled tokens under the current weights, with gradient.
        old_logprobs_T: The same under the policy that sampled, or that stands for it.
        advantages_T: The advantage of each token's rollout.
        bounds: Where the ratio is clipped; `dual` below e^20.
        importance_T: Weight of each token's objective; 1 where absent.
    """
    ratio_T = torch.exp((logprobs_T - old_logprobs_T).clamp(max=_MAX_LOG_RATIO))
    clipped_ratio_T = ratio_T.clamp(1.0 - bounds.low, 1.0 + bounds.high)
    pessimistic_T = torch.minimum(ratio_T * advantages_T, clipped_ratio_T * advantages_T)
    negative_T = advantages_T < 0
    bounded_T = torch.maximum(pessimistic_T, bounds.dual * advantages_T)
    objective_T = torch.where(negative_T, bounded_T, pessimistic_T)
    weighted_T = objective_T if importance_T is None else importance_T * objective_T
    low_T = negative_T & (ratio_T < 1.0 - bounds.low)
    high_T = (advantages_T > 0) & (ratio_T > 1.0 + bounds.high)
    dual_T = negative_T & (ratio_T > bounds.dual)
    return SurrogateSums(
        loss=-weighted_T.sum(),
        clipped_low=low_T.sum(),
        clipped_high=high_T.sum(),
        clipped_dual=dual_T.sum(),
        clipped_3T=torch.stack((low_T, high_T, dual_T)),
    )
