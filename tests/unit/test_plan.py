"""The estimates follow from the recipe by the arithmetic that they show."""

import re
from dataclasses import dataclass
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zppo.display import plan_text
from zppo.plan import make_plan, train_questions
from zppo.recipes import load_recipe, shipped_recipes


@dataclass(frozen=True)
class Size:
    parameters: int = 1_000_000
    layers: int = 4
    hidden: int = 96
    vocabulary: int = 70

    def cache_bytes(self, value_bytes: int) -> int:
        return 2 * self.layers * self.hidden * value_bytes


def plan(recipe, *overrides, size=None, rate=1e12):
    return make_plan(load_recipe(recipe, overrides), size or Size(), Size(), rate)


def value(estimates, what):
    return next(estimate.value for estimate in estimates if estimate.what == what)


@pytest.mark.parametrize("recipe", shipped_recipes())
def test_every_estimate_is_the_product_that_it_shows(recipe):
    made = plan(recipe)
    for estimate in (*made.round_tokens, *made.run_tokens, *made.memory, *made.disk, *made.compute[:-1]):
        factors = [float(part.replace(",", "")) for part in re.findall(r"(?:^|\* )([\d,]+) \(", estimate.how)]
        assert estimate.value == pytest.approx(prod(factors)), estimate


def test_a_round_of_the_pocket_recipe_has_its_known_tokens():
    made = plan("pocket")
    assert value(made.round_tokens, "plain responses") == (32 + 8) * 8 * 40
    assert value(made.round_tokens, "BCQ and NCQ responses") == 8 * 8 * 40
    assert value(made.run_tokens, "teacher pool") == 2048 * 4 * 4 * 40


def test_a_method_without_reformulation_plans_none():
    made = plan("pocket", "method={type: grpo}", "teacher={type: none}")
    assert [estimate.what for estimate in made.round_tokens] == ["plain prompts", "plain responses"]
    assert value(made.round_tokens, "plain responses") == 32 * 8 * 40
    assert "teacher pool" not in {estimate.what for estimate in made.run_tokens}


def test_checkpointing_trades_memory_for_compute():
    kept, recomputed = (plan("pocket", f"learner.gradient_checkpointing={on}") for on in ("false", "true"))
    assert value(recomputed.memory, "activations") < value(kept.memory, "activations")
    assert value(recomputed.compute, "updates") > value(kept.compute, "updates")


@given(st.integers(1, 10**9), st.floats(1e9, 1e15))
def test_time_is_compute_over_speed(parameters, rate):
    made = plan("pocket", size=Size(parameters=parameters), rate=rate)
    *work, time = made.compute
    assert time.unit == "seconds"
    assert time.value == pytest.approx(sum(estimate.value for estimate in work) / rate)


def test_the_number_of_training_questions_is_known_for_generators_only():
    assert train_questions(load_recipe("pocket").data) == 2048
    assert train_questions(load_recipe("pocket", ["data.max_train=100"]).data) == 100
    assert train_questions(load_recipe("qwen3-0.6b").data) is None
    assert train_questions(load_recipe("qwen3-0.6b", ["data.max_train=100"]).data) == 100
    assert any("does not say how many" in note for note in plan("qwen3-0.6b").notes)


@pytest.mark.parametrize("recipe", shipped_recipes())
def test_the_text_shows_every_estimate(recipe):
    made = plan(recipe)
    shown = plan_text(load_recipe(recipe), made)
    assert all(estimate.how in shown for estimate in (*made.round_tokens, *made.memory, *made.compute))
