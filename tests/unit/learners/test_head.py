"""The chunked output layers against the direct computation."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from zppo.learners.head import compare_tokens, score_tokens

HIDDEN, VOCABULARY = 8, 37


def inputs(tokens: int, seed: int) -> tuple[nn.Linear, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    head = nn.Linear(HIDDEN, VOCABULARY)
    with torch.no_grad():
        head.weight.copy_(torch.randn(VOCABULARY, HIDDEN, generator=generator))
        head.bias.copy_(torch.randn(VOCABULARY, generator=generator))
    hidden = torch.randn(tokens, HIDDEN, generator=generator, requires_grad=True)
    return head, hidden, torch.randint(VOCABULARY, (tokens,), generator=generator)


@given(st.integers(1, 40), st.integers(1, 2000), st.floats(0.3, 3.0), st.integers(0, 1000))
def test_values_and_gradients_do_not_depend_on_the_chunks(
    tokens: int, max_chunk_logits: int, temperature: float, seed: int
) -> None:
    head, hidden, targets = inputs(tokens, seed)
    direct = (head(hidden) / temperature).log_softmax(-1)
    chosen = direct[torch.arange(tokens), targets]
    logprobs, entropies = score_tokens(head, hidden, targets, temperature, max_chunk_logits)
    torch.testing.assert_close(logprobs, chosen, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(entropies, -(direct.exp() * direct).sum(-1), atol=1e-5, rtol=1e-5)
    wanted = [hidden, head.weight, head.bias]
    coefficients = torch.linspace(-1, 1, tokens)
    expected = torch.autograd.grad((chosen * coefficients).sum(), wanted)
    gradients = torch.autograd.grad((logprobs * coefficients).sum(), wanted)
    for gradient, reference in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, reference, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("chunk", [1, 3, 9])
def test_chunks_bound_the_logits_computed_at_once_and_leave_none_for_the_backward_pass(chunk: int) -> None:
    head, hidden, targets = inputs(10, seed=0)
    computed: list[torch.Size] = []
    saved: list[torch.Size] = []

    def keep(tensor: Tensor) -> Tensor:
        saved.append(tensor.shape)
        return tensor

    head.register_forward_hook(lambda module, args, output: computed.append(output.shape))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        score_tokens(head, hidden, targets, 1.0, chunk * VOCABULARY)
    assert max(shape[0] for shape in computed) <= chunk
    assert sum(shape[0] for shape in computed) == 10
    assert not [shape for shape in saved if shape[-1:] == (VOCABULARY,)]


class WidestTensors(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the rows of every result that has the vocabulary as its last dimension."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.rows: list[int] = []
        self._widths = widths

    def __torch_dispatch__(  # type: ignore[no-untyped-def]
        self, func: Callable[..., object], types, args=(), kwargs: Mapping[str, Any] | None = None
    ) -> object:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and leaf.shape[-1:].numel() in self._widths and leaf.dim() > 1:
                self.rows.append(leaf.numel() // leaf.shape[-1])
        return result


def pair(
    tokens: int, sizes: tuple[int, int], widths: tuple[int, int], scales: tuple[float, float], seed: int
) -> list[tuple[nn.Linear, Tensor]]:
    """Heads and hidden states of a student and a teacher; the scales make their logits extreme."""
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for size, width, scale in zip(sizes, widths, scales, strict=True):
        head = nn.Linear(size, width)
        with torch.no_grad():
            head.weight.copy_(torch.randn(width, size, generator=generator) * scale)
            head.bias.copy_(torch.randn(width, generator=generator))
        parts.append((head, torch.randn(tokens, size, generator=generator, requires_grad=True)))
    return parts


def direct_divergences(student: tuple[nn.Linear, Tensor], teacher: tuple[nn.Linear, Tensor]) -> Tensor:
    """In float64 from all logits at once, over the tokens that both heads know."""
    both = min(student[0].out_features, teacher[0].out_features)
    logits = [
        nn.functional.linear(hidden.double(), head.weight.double(), head.bias.double())[:, :both]
        for head, hidden in (student, teacher)
    ]
    p, q = (each.softmax(-1) for each in logits)
    m = (p + q) / 2
    terms: Tensor = sum(torch.special.xlogy(each, each) - torch.special.xlogy(each, m) for each in (p, q))
    return terms.sum(-1) / 2


sizes = st.tuples(st.integers(1, 9), st.integers(1, 9))
widths = st.tuples(st.integers(2, 40), st.integers(2, 40))
scales = st.tuples(*[st.floats(-2, 1.5).map(lambda power: 10.0**power)] * 2)


@given(st.integers(1, 25), sizes, widths, scales, st.integers(1, 1000), st.integers(0, 1000))
def test_divergences_and_gradients_are_those_of_all_logits_at_once(
    tokens: int,
    sizes: tuple[int, int],
    widths: tuple[int, int],
    scales: tuple[float, float],
    max_chunk_logits: int,
    seed: int,
) -> None:
    student, teacher = pair(tokens, sizes, widths, scales, seed)
    divergences, entropies = compare_tokens(*student, *teacher, max_chunk_logits)
    expected = direct_divergences(student, teacher)
    torch.testing.assert_close(divergences.double(), expected, atol=1e-5, rtol=1e-4)
    p = student[0](student[1]).double()[:, : min(widths)].softmax(-1)
    torch.testing.assert_close(entropies.double(), torch.special.entr(p).sum(-1), atol=1e-4, rtol=1e-4)
    wanted = [student[1], student[0].weight, student[0].bias]
    coefficients = torch.linspace(0.1, 1, tokens)
    got = torch.autograd.grad((divergences * coefficients).sum(), wanted)
    direct = torch.autograd.grad((expected * coefficients).sum(), wanted)
    for gradient, reference in zip(got, direct, strict=True):
        scale = max(1.0, reference.abs().max().item())
        torch.testing.assert_close(gradient / scale, reference / scale, atol=1e-4, rtol=1e-3)


def test_no_gradient_reaches_the_teacher() -> None:
    student, teacher = pair(7, (4, 5), (VOCABULARY, VOCABULARY), (1.0, 1.0), seed=0)
    torch.autograd.backward(compare_tokens(*student, *teacher, VOCABULARY * 4)[0].sum())
    assert student[0].weight.grad is not None
    assert [each.grad for each in (*teacher[0].parameters(), teacher[1])] == [None, None, None]


@pytest.mark.parametrize("chunk", [1, 3, 9])
def test_no_more_logits_of_either_model_than_a_chunk_are_computed_forward_or_backward(chunk: int) -> None:
    widths, tokens = (VOCABULARY, VOCABULARY + 4), 10
    # Hidden states of one number, so that a head's transposed weight has no more rows than a chunk.
    student, teacher = pair(tokens, (1, 1), widths, (1.0, 1.0), seed=0)
    calls: dict[str, list[int]] = {"student": [], "teacher": []}
    for name, (head, _) in (("student", student), ("teacher", teacher)):
        head.register_forward_hook(lambda *hook, name=name: calls[name].append(len(hook[2])))
    saved: list[torch.Size] = []

    def keep(tensor: Tensor) -> Tensor:
        saved.append(tensor.shape)
        return tensor

    with WidestTensors(widths) as widest:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = compare_tokens(*student, *teacher, chunk * sum(widths))[0].sum()
        assert not [shape for shape in saved if shape[-1:].numel() in widths]
        forward = {name: list(rows) for name, rows in calls.items()}
        torch.autograd.backward(loss)
    for name, rows in calls.items():
        assert max(rows) <= chunk
        assert sum(forward[name]) == tokens
        assert sum(rows) == 2 * tokens, "the backward pass computes each chunk again, and once"
    assert max(widest.rows) <= chunk
