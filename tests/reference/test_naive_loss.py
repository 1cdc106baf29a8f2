"""The torch learner's loss and gradient against a loop over tokens, one unpadded sequence at a time."""

from random import Random

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from schemas.config.learner import TorchLearnerConfig
from tests.reference.naive_learning import naive_advantages, naive_objective
from tests.tiny import VOCABULARY, tiny_model, tiny_tokenizer
from zppo.core.objective import ClipBounds
from zppo.learners.objectives import PolicyObjective
from zppo.learners.torch import TorchLearner
from zppo.ports import MiniBatch, PolicyRow

REWARDS = {"a": [1, 0, 0], "b": [0, 1, 1], "trivial": [0, 0], "c": [1, 0]}
LOW, HIGH, DUAL = 0.2, 0.28, 10.0


def naive_logprobs(model: PreTrainedModel, row: PolicyRow, temperature: float) -> list[Tensor]:
    """Log-probability of each response token, from the logits of the whole sequence."""
    ids = [*row.prompt_ids, *row.response_ids]
    logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0] / temperature
    first = len(row.prompt_ids)
    return [
        logits[place - 1][ids[place]] - torch.logsumexp(logits[place - 1], 0)
        for place in range(first, len(ids))
    ]


def naive_loss(model: PreTrainedModel, rows: list[PolicyRow], temperature: float) -> Tensor:
    """Minus the clipped objective, summed over tokens and divided by their number."""
    total, tokens = torch.zeros((), dtype=torch.float64), 0
    for row in rows:
        for logprob, old in zip(naive_logprobs(model, row, temperature), row.old_logprobs, strict=True):
            tokens += 1
            total = total - naive_objective(torch.exp(logprob - old), row.advantage, LOW, HIGH, DUAL)
    return total / tokens


def rows_of_a_step(model: PreTrainedModel, seed: int, temperature: float) -> list[PolicyRow]:
    """Rollouts of several groups, sampled by a policy that differs enough for every bound to matter."""
    random = Random(seed)
    names = {
        name: [(f"{name}#{place}", reward) for place, reward in enumerate(rewards)]
        for name, rewards in REWARDS.items()
    }
    rows = []
    for rollout, advantage in naive_advantages(names, "nonzero").items():
        prompt, response = (
            tuple(random.choices(range(VOCABULARY), k=random.randint(1, 9))) for _ in range(2)
        )
        row = PolicyRow(rollout, prompt, response, (0.0,) * len(response), advantage)
        with torch.no_grad():
            logprobs = [float(each) for each in naive_logprobs(model, row, temperature)]
        shifts = [random.choice([-2.6, -0.5, -0.1, 0.1, 0.5]) for _ in logprobs]
        # Rounded to float32, which is what a round keeps.
        old = torch.tensor([a + b for a, b in zip(logprobs, shifts, strict=True)], dtype=torch.float32)
        rows.append(PolicyRow(rollout, prompt, response, tuple(old.tolist()), advantage))
    return rows


@pytest.mark.parametrize(
    ("architecture", "max_batch_tokens", "temperature"),
    [("llama", 10_000, 1.0), ("llama", 20, 0.7), ("qwen3", 20, 1.0)],
)
def test_loss_and_gradient_are_those_of_a_loop_over_tokens(
    architecture: str, max_batch_tokens: int, temperature: float
) -> None:
    model = tiny_model(architecture).double()
    rows = rows_of_a_step(model, 3, temperature)
    expected_loss = naive_loss(model, rows, temperature)
    names, weights = zip(*model.named_parameters(), strict=True)
    expected = dict(zip(names, torch.autograd.grad(expected_loss, weights), strict=True))

    got: dict[str, Tensor] = {}
    for name, weight in model.named_parameters():
        weight.register_post_accumulate_grad_hook(  # type: ignore[no-untyped-call]
            lambda each, name=name: got.__setitem__(name, each.grad.clone())
        )
    learner = TorchLearner(
        model,
        tiny_tokenizer(),
        TorchLearnerConfig(max_batch_tokens=max_batch_tokens, learning_rate=1e-6),
        PolicyObjective(ClipBounds(LOW, HIGH, DUAL), temperature),
        temperature,
    )
    statistics = learner.update(MiniBatch(tuple(rows)))

    assert statistics.loss == pytest.approx(expected_loss.item(), abs=1e-6)
    assert got.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(got[name], gradient, atol=1e-6, rtol=1e-6)
    norm = torch.cat([gradient.flatten() for gradient in expected.values()]).norm().item()
    assert statistics.grad_norm == pytest.approx(norm, rel=1e-5)
    assert norm > 0.1
    fractions = (
        statistics.clip_low_fraction, statistics.clip_high_fraction, statistics.dual_clip_fraction
    )  # fmt: skip
    assert all(fractions)
