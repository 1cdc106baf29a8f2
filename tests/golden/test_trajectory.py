"""Short training runs, held to committed numbers: `python tests/golden/test_trajectory.py` rewrites them."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from tests.learning import distillation_rows, random_rows, tiny_distiller, tiny_learner
from zppo.ports import MiniBatch, UpdateStatistics

Numbers = list[tuple[float, float, float]]

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


SETTINGS = {"learning_rate": 3e-3, "warmup_updates": 3, "max_batch_tokens": 100}
SEEDS = range(6)


def seeded_model(seed: int = 0) -> PreTrainedModel:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LlamaForCausalLM(LlamaConfig(**CONFIG))  # type: ignore[arg-type, no-untyped-call]


def policy_gradient() -> Numbers:
    """Six updates, each on rows of its own."""
    learner = tiny_learner(seeded_model(), **SETTINGS)
    return numbers(learner.update(MiniBatch(tuple(random_rows(12, seed, vocabulary=48)))) for seed in SEEDS)


def distillation() -> Numbers:
    """The same towards a teacher of other weights."""
    learner = tiny_distiller(seeded_model(), seeded_model(1), **SETTINGS)
    return numbers(
        learner.update(MiniBatch(tuple(distillation_rows(12, seed, vocabulary=48)))) for seed in SEEDS
    )


def numbers(updates: Iterable[UpdateStatistics]) -> Numbers:
    """Loss, gradient norm and entropy of each."""
    return [(update.loss, update.grad_norm, update.entropy) for update in updates]


TRAJECTORIES: dict[str, Callable[[], Numbers]] = {
    "trajectory.txt": policy_gradient,
    "trajectory_distillation.txt": distillation,
}


def golden(name: str) -> Path:
    return Path(__file__).with_name(name)


@pytest.mark.parametrize("name", TRAJECTORIES)
def test_training_follows_the_committed_trajectory(name: str) -> None:
    committed = [tuple(map(float, line.split())) for line in golden(name).read_text().splitlines()[1:]]
    for got, expected in zip(TRAJECTORIES[name](), committed, strict=True):
        # Other processors add up in another order; six updates keep that below this tolerance.
        assert got == pytest.approx(expected, rel=2e-3, abs=1e-5)


if __name__ == "__main__":
    for name, run in TRAJECTORIES.items():
        lines = [" ".join(f"{number:.8g}" for number in each) for each in run()]
        golden(name).write_text("\n".join(["loss grad_norm entropy", *lines]) + "\n")
