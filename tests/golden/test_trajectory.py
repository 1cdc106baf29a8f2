"""A short training run, held to committed numbers: `python tests/golden/test_trajectory.py` rewrites them."""

from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from tests.learning import random_rows, tiny_learner
from zppo.ports import MiniBatch

GOLDEN = Path(__file__).with_name("trajectory.txt")


# All that the numbers depend on stands here, so that other tests' models can change.
CONFIG = {
    "vocab_size": 48,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.1,
}


def seeded_model() -> PreTrainedModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LlamaForCausalLM(LlamaConfig(**CONFIG))  # type: ignore[arg-type, no-untyped-call]


def trajectory() -> list[tuple[float, float, float]]:
    """Loss, gradient norm and entropy of six updates, each on rows of its own."""
    learner = tiny_learner(seeded_model(), learning_rate=3e-3, warmup_updates=3, max_batch_tokens=100)
    updates = [learner.update(MiniBatch(tuple(random_rows(12, seed, vocabulary=48)))) for seed in range(6)]
    return [(update.loss, update.grad_norm, update.entropy) for update in updates]


def test_training_follows_the_committed_trajectory() -> None:
    golden = [tuple(map(float, line.split())) for line in GOLDEN.read_text().splitlines()[1:]]
    for numbers, expected in zip(trajectory(), golden, strict=True):
        # Other processors add up in another order; six updates keep that below this tolerance.
        assert numbers == pytest.approx(expected, rel=2e-3, abs=1e-5)


if __name__ == "__main__":
    lines = [" ".join(f"{number:.8g}" for number in numbers) for numbers in trajectory()]
    GOLDEN.write_text("\n".join(["loss grad_norm entropy", *lines]) + "\n")
