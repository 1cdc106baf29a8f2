"""The torch learner's loss and gradient against a loop over tokens, one unpadded sequence at a time."""

import math
from dataclasses import replace
from random import Random

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from schemas.config.learner import TorchLearnerConfig
from tests.reference.naive_learning import naive_advantages, naive_objective
from tests.tiny import VOCABULARY, tiny_model, tiny_tokenizer
from zppo.core.objective import ClipBounds
from zppo.learners.objectives import DistillationObjective, PolicyObjective
from zppo.learners.torch import TorchLearner
from zppo.methods.importance import weigh
from zppo.ports import DistillationRow, MiniBatch, PolicyRow, TrainingRow, UpdateStatistics

REWARDS = {"a": [1, 0, 0], "b": [0, 1, 1], "trivial": [0, 0], "c": [1, 0]}
LOW, HIGH, DUAL = 0.2, 0.28, 10.0


def naive_logits(model: PreTrainedModel, row: TrainingRow) -> list[Tensor]:
    """What predicts each response token, out of the logits of the whole sequence."""
    ids = [*row.prompt_ids, *row.response_ids]
    logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
    return [logits[place - 1] for place in range(len(row.prompt_ids), len(ids))]


def naive_logprobs(model: PreTrainedModel, row: TrainingRow, temperature: float) -> list[Tensor]:
    """Log-probability of each response token."""
    return [
        logits[token] / temperature - torch.logsumexp(logits / temperature, 0)
        for logits, token in zip(naive_logits(model, row), row.response_ids, strict=True)
    ]


def naive_loss(model: PreTrainedModel, rows: list[PolicyRow], temperature: float) -> Tensor:
    """Minus the clipped objective, summed over tokens and divided by their number."""
    total, tokens = torch.zeros((), dtype=torch.float64), 0
    for row in rows:
        for logprob, old in zip(naive_logprobs(model, row, temperature), row.old_logprobs, strict=True):
            tokens += 1
            total = total - naive_objective(torch.exp(logprob - old), row.advantage, LOW, HIGH, DUAL)
    return total / tokens


def naive_clipped(
    model: PreTrainedModel, rows: list[PolicyRow], temperature: float
) -> list[tuple[str, str, list[int]]]:
    """Rollout, bound and places of the tokens that have no gradient, in the order of rows and bounds."""
    found = []
    for row in rows:
        logprobs = naive_logprobs(model, row, temperature)
        ratios = [math.exp(now.item() - old) for now, old in zip(logprobs, row.old_logprobs, strict=True)]
        beyond: dict[str, list[int]] = {"low": [], "high": [], "dual": []}
        for place, ratio in enumerate(ratios):
            if row.advantage < 0 and ratio < 1 - LOW:
                beyond["low"].append(place)
            if row.advantage > 0 and ratio > 1 + HIGH:
                beyond["high"].append(place)
            if row.advantage < 0 and ratio > DUAL:
                beyond["dual"].append(place)
        found += [(row.rollout, bound, places) for bound, places in beyond.items() if places]
    return found


def naive_truncated_loss(
    model: PreTrainedModel, before: PreTrainedModel, rows: list[PolicyRow], temperature: float, cap: float
) -> Tensor:
    """The same with the ratio to the learner as it was, each token weighed by what the sampler missed."""
    total, tokens = torch.zeros((), dtype=torch.float64), 0
    for row in rows:
        then = [each.item() for each in naive_logprobs(before, row, temperature)]
        now = naive_logprobs(model, row, temperature)
        for logprob, ours, sampled in zip(now, then, row.old_logprobs, strict=True):
            tokens += 1
            weight = min(math.exp(ours) / math.exp(sampled), cap)
            ratio = torch.exp(logprob) / math.exp(ours)
            total = total - weight * naive_objective(ratio, row.advantage, LOW, HIGH, DUAL)
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


def naive_divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """Jensen-Shannon divergence of two rows of logits, from their probabilities."""
    p, q = (torch.exp(logits) / torch.exp(logits).sum() for logits in (student, teacher))
    m = (p + q) / 2
    return (p * torch.log(p / m)).sum() / 2 + (q * torch.log(q / m)).sum() / 2


def naive_distillation_loss(
    student: PreTrainedModel, teacher: PreTrainedModel, questions: list[list[DistillationRow]]
) -> Tensor:
    """A mean over tokens, then over a question's responses, then over questions; weights are not read."""
    means = []
    for rows in questions:
        of_rows = []
        for row in rows:
            pairs = zip(naive_logits(student, row), naive_logits(teacher, row), strict=True)
            divergences = [naive_divergence(ours, theirs.detach()) for ours, theirs in pairs]
            of_rows.append(sum(divergences, torch.zeros(())) / len(divergences))
        means.append(sum(of_rows, torch.zeros(())) / len(of_rows))
    return sum(means, torch.zeros(())) / len(means)


def naive_gradient(model: PreTrainedModel, loss: Tensor) -> dict[str, Tensor]:
    names, weights = zip(*model.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(loss, weights), strict=True))


def check_update(
    learner: TorchLearner, model: PreTrainedModel, batch: MiniBatch, expected_loss: Tensor
) -> UpdateStatistics:
    """Make one update and compare its loss and its gradient with the naive ones."""
    expected = naive_gradient(model, expected_loss)
    got: dict[str, Tensor] = {}
    for name, weight in model.named_parameters():
        weight.register_post_accumulate_grad_hook(  # type: ignore[no-untyped-call]
            lambda each, name=name: got.__setitem__(name, each.grad.clone())
        )
    statistics = learner.update(batch)
    assert statistics.loss == pytest.approx(expected_loss.item(), abs=1e-6)
    assert got.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(got[name], gradient, atol=1e-6, rtol=1e-6)
    norm = torch.cat([gradient.flatten() for gradient in expected.values()]).norm().item()
    assert statistics.grad_norm == pytest.approx(norm, rel=1e-5)
    assert norm > 0.1
    return statistics


SETTINGS = pytest.mark.parametrize(
    ("architecture", "max_batch_tokens", "temperature"),
    [("llama", 10_000, 1.0), ("llama", 20, 0.7), ("qwen3", 20, 1.0)],
)


@SETTINGS
def test_loss_and_gradient_are_those_of_a_loop_over_tokens(
    architecture: str, max_batch_tokens: int, temperature: float
) -> None:
    model = tiny_model(architecture).double()
    rows = rows_of_a_step(model, 3, temperature)
    learner = TorchLearner(
        model,
        tiny_tokenizer(),
        TorchLearnerConfig(max_batch_tokens=max_batch_tokens, learning_rate=1e-6),
        PolicyObjective(ClipBounds(LOW, HIGH, DUAL), temperature),
        temperature,
    )
    clipped = naive_clipped(model, rows, temperature)
    statistics = check_update(learner, model, MiniBatch(tuple(rows)), naive_loss(model, rows, temperature))
    fractions = (
        statistics.clip_low_fraction, statistics.clip_high_fraction, statistics.dual_clip_fraction
    )  # fmt: skip
    assert all(fractions)
    told = [(each.rollout, each.bound, list(each.places)) for each in statistics.clipped_tokens or ()]
    assert told == clipped


@pytest.mark.parametrize("cap", [0.7, 1.2, 50.0])
def test_truncated_importance_sampling_is_that_of_a_loop_over_tokens(cap: float) -> None:
    model, before = tiny_model("llama").double(), tiny_model("llama").double()
    first, second = (rows_of_a_step(before, seed, 0.7) for seed in (3, 4))
    second = [replace(row, rollout=f"second {row.rollout}") for row in second]
    learner = TorchLearner(
        model,
        tiny_tokenizer(),
        TorchLearnerConfig(max_batch_tokens=20, learning_rate=1e-2),
        PolicyObjective(ClipBounds(LOW, HIGH, DUAL), 0.7),
        0.7,
    )
    batches = weigh([MiniBatch(tuple(rows)) for rows in (first, second)], cap, learner)
    for rows, batch in zip((first, second), batches, strict=True):
        expected = naive_truncated_loss(model, before, rows, 0.7, cap)
        statistics = check_update(learner, model, batch, expected)
    assert statistics.clip_low_fraction, "the second update is off the policy that the weights are of"


def questions_to_distil(seed: int) -> list[list[DistillationRow]]:
    """Responses to three questions, with the weights that make the sum of rows a mean of means."""
    random = Random(seed)
    counts = (1, 4, 2)
    return [
        [
            DistillationRow(
                f"q{question}#{index}",
                prompt_ids=tuple(random.choices(range(VOCABULARY), k=random.randint(1, 9))),
                response_ids=tuple(random.choices(range(VOCABULARY), k=random.randint(1, 9))),
                weight=1 / (len(counts) * count),
            )
            for index in range(count)
        ]
        for question, count in enumerate(counts)
    ]


@SETTINGS
def test_distillation_is_that_of_a_loop_over_tokens_at_any_sampling_temperature(
    architecture: str, max_batch_tokens: int, temperature: float
) -> None:
    student, teacher = tiny_model(architecture).double(), tiny_model("llama", seed=7).double()
    questions = questions_to_distil(5)
    learner = TorchLearner(
        student,
        tiny_tokenizer(),
        TorchLearnerConfig(max_batch_tokens=max_batch_tokens, learning_rate=1e-6),
        DistillationObjective(teacher),
        temperature,
    )
    rows = tuple(row for rows in questions for row in rows)
    check_update(learner, student, MiniBatch(rows), naive_distillation_loss(student, teacher, questions))
