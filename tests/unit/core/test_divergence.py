"""The Jensen-Shannon divergence against its definition."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from zppo.core.divergence import jensen_shannon

ROUNDING = 1e-6


def definition(student_logits_TV: Tensor, teacher_logits_TV: Tensor) -> Tensor:
    """`H(m) - (H(p) + H(q)) / 2` in float64: the definition by entropies, without a logarithm of 0."""
    p, q = student_logits_TV.double().softmax(-1), teacher_logits_TV.double().softmax(-1)

    def entropy(probabilities: Tensor) -> Tensor:
        terms: Tensor = torch.special.entr(probabilities)
        return terms.sum(-1)

    return entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2


@st.composite
def logits(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Of student and teacher: from nearly uniform to so far apart that most probabilities underflow."""
    tokens, vocabulary = draw(st.integers(1, 6)), draw(st.integers(1, 30))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10_000)))
    scales = [10.0 ** draw(st.floats(-3, 4)) for _ in range(2)]
    student, teacher = (torch.randn(tokens, vocabulary, generator=generator) * scale for scale in scales)
    return student, teacher


def divergences(student: Tensor, teacher: Tensor) -> Tensor:
    return jensen_shannon(student.log_softmax(-1), teacher.log_softmax(-1))


@given(logits())
def test_it_is_the_definition_and_its_gradient(pair: tuple[Tensor, Tensor]) -> None:
    student, teacher = pair[0].requires_grad_(), pair[1]
    got = divergences(student, teacher)
    torch.testing.assert_close(got.double(), definition(student, teacher), atol=ROUNDING, rtol=1e-5)
    (gradient,) = torch.autograd.grad(got.sum(), student)
    logp, logq = student.detach().double().log_softmax(-1), teacher.double().log_softmax(-1)
    ratio = logp - torch.logaddexp(logp, logq) + math.log(2)
    expected = logp.exp() * (ratio - (logp.exp() * ratio).sum(-1, keepdim=True)) / 2
    torch.testing.assert_close(gradient.double(), expected, atol=ROUNDING, rtol=1e-4)


@given(logits())
def test_it_lies_between_0_and_ln_2(pair: tuple[Tensor, Tensor]) -> None:
    got = divergences(*pair)
    assert (got >= -ROUNDING).all()
    assert (got <= math.log(2) + ROUNDING).all()


@given(logits())
def test_it_is_symmetric(pair: tuple[Tensor, Tensor]) -> None:
    student, teacher = pair
    torch.testing.assert_close(divergences(student, teacher), divergences(teacher, student))


@given(logits())
def test_it_is_0_for_equal_distributions_and_so_is_its_gradient(pair: tuple[Tensor, Tensor]) -> None:
    student = pair[0].requires_grad_()
    got = divergences(student, student.detach() + 3.0)  # a constant changes no distribution
    torch.testing.assert_close(got, torch.zeros_like(got), atol=1e-5, rtol=0)
    (gradient,) = torch.autograd.grad(got.sum(), student)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-3, rtol=0)


@pytest.mark.parametrize("scale", [1e2, 1e6, 1e30])
def test_it_is_ln_2_for_disjoint_distributions_whose_gradient_stays_finite(scale: float) -> None:
    student = torch.tensor([[scale, 0.0, -scale]], requires_grad=True)
    got = divergences(student, torch.tensor([[0.0, scale, -scale]]))
    assert got.item() == pytest.approx(math.log(2))
    torch.autograd.backward(got)
    assert student.grad is not None
    assert student.grad.isfinite().all()


@given(logits())
def test_no_gradient_reaches_the_teacher(pair: tuple[Tensor, Tensor]) -> None:
    student, teacher = (each.requires_grad_() for each in pair)
    torch.autograd.backward(divergences(student, teacher).sum())
    assert student.grad is not None
    assert teacher.grad is None
