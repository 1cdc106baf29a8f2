"""The chunked output layer against the direct computation."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from zppo.learners.head import score_tokens

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
