"""The clipped surrogate against a plain loop."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from zppo.core.objective import ClipBounds, clipped_surrogate

BOUNDS = ClipBounds(low=0.2, high=0.28, dual=10.0)
tokens = st.lists(
    st.tuples(st.floats(-12, 0), st.floats(-12, 0), st.sampled_from([-2.5, -1.0, -0.3, 0.0, 0.4, 1.0, 3.0])),
    min_size=1,
    max_size=30,
)


def columns(rows: list[tuple[float, float, float]]) -> tuple[Tensor, Tensor, Tensor]:
    logprobs, old, advantages = (
        torch.tensor(column, dtype=torch.float64) for column in zip(*rows, strict=True)
    )
    return logprobs.requires_grad_(), old, advantages


def naive_objective(logprob: float, old: float, advantage: float) -> tuple[float, str]:
    """One token's objective, and which bound cut it off, if any."""
    ratio = math.exp(logprob - old)
    if advantage > 0 and ratio > 1.28:
        return 1.28 * advantage, "high"
    if advantage < 0 and ratio < 0.8:
        return 0.8 * advantage, "low"
    if advantage < 0 and ratio > 10.0:
        return 10.0 * advantage, "dual"
    return ratio * advantage, ""


@given(tokens)
def test_sums_and_counts_equal_a_plain_loop(rows: list[tuple[float, float, float]]) -> None:
    sums = clipped_surrogate(*columns(rows), BOUNDS)
    expected = [naive_objective(*row) for row in rows]
    assert sums.loss.item() == pytest.approx(-math.fsum(value for value, _ in expected), rel=1e-9, abs=1e-12)
    cut_off = [name for _, name in expected]
    assert sums.clipped_low.item() == cut_off.count("low")
    assert sums.clipped_high.item() == cut_off.count("high")
    assert sums.clipped_dual.item() == cut_off.count("dual")
    for mask_T, bound in zip(sums.clipped_3T, ("low", "high", "dual"), strict=True):
        assert mask_T.tolist() == [each == bound for each in cut_off]


@given(tokens)
def test_clipped_tokens_have_no_gradient_and_others_that_of_the_ratio(
    rows: list[tuple[float, float, float]],
) -> None:
    logprobs, old, advantages = columns(rows)
    (gradients,) = torch.autograd.grad(clipped_surrogate(logprobs, old, advantages, BOUNDS).loss, logprobs)
    for gradient, row in zip(gradients.tolist(), rows, strict=True):
        value, cut_off = naive_objective(*row)
        assert gradient == pytest.approx(0.0 if cut_off else -value, rel=1e-9, abs=1e-12)


@given(tokens)
def test_at_ratio_one_the_gradient_is_that_of_reinforce(rows: list[tuple[float, float, float]]) -> None:
    logprobs, _, advantages = columns(rows)
    sums = clipped_surrogate(logprobs, logprobs.detach(), advantages, BOUNDS)
    (gradients,) = torch.autograd.grad(sums.loss, logprobs)
    torch.testing.assert_close(gradients, -advantages)


@pytest.mark.parametrize("advantage", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("log_ratio", [-2000.0, 2000.0])
def test_extreme_ratios_stay_finite(advantage: float, log_ratio: float) -> None:
    logprobs = torch.tensor([log_ratio], requires_grad=True)
    sums = clipped_surrogate(logprobs, torch.zeros(1), torch.tensor([advantage]), BOUNDS)
    (gradients,) = torch.autograd.grad(sums.loss, logprobs)
    assert sums.loss.isfinite()
    assert gradients.item() == 0.0


def test_a_nan_shows_in_the_loss() -> None:
    sums = clipped_surrogate(torch.tensor([math.nan]), torch.zeros(1), torch.ones(1), BOUNDS)
    assert sums.loss.isnan()
