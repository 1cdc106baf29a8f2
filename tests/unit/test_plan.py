"""The estimates follow from the recipe by the arithmetic that they show."""

import re
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zppo.learners.head import MAX_CHUNK_LOGITS
from zppo.models.shapes import ModelShape, TextShape
from zppo.models.size import state_bytes_per_sequence
from zppo.plan import find_shape, make_plan, resources
from zppo.plan.hardware import Hardware
from zppo.plan.text import plan_text
from zppo.plan.tokens import train_questions
from zppo.recipes import load_recipe, shipped_recipes


def shape(**fields):
    known = {
        "model_type": "llama",
        "vocab_size": 70,
        "hidden_size": 96,
        "intermediate_size": 192,
        "num_hidden_layers": 3,
        "num_attention_heads": 3,
        "num_key_value_heads": 3,
        "head_dim": 32,
        "max_position_embeddings": 512,
    }
    return ModelShape(model="a model", text=TextShape(**(known | fields)), weight_bytes=4.0, sources=())


def plan(recipe, *overrides, student=None, expected=None, **hardware):
    made = Hardware(**hardware)
    return make_plan(load_recipe(recipe, overrides), student or shape(), shape(), made, expected)


def value(estimates, what):
    return next(estimate.value for estimate in estimates if estimate.what == what)


FIGURES = re.compile(r"(?:^|\* )([\d,.e+]+) \(")


@pytest.mark.parametrize("recipe", shipped_recipes())
def test_every_estimate_is_the_product_that_it_shows(recipe):
    made = plan(recipe, bytes_per_second=1e12, memory_bytes=80e9, price_per_hour=2.5)
    tokens = (*made.round_tokens, *made.run_tokens, *made.teacher_tokens, *made.judge_tokens)
    rest = (*made.memory, *made.server_memory, *made.disk, *made.compute, *made.traffic, made.money[0])
    for estimate in (*tokens, *rest):
        factors = [float(part.replace(",", "")) for part in FIGURES.findall(estimate.how)]
        assert estimate.value == pytest.approx(prod(factors), rel=1e-3), estimate


def test_a_round_of_the_pocket_recipe_has_its_known_tokens():
    made = plan("pocket")
    assert value(made.round_tokens, "plain: responses") == (32 + 8) * 8 * 32
    assert value(made.round_tokens, "hard: responses") == 8 * 8 * 32
    assert value(made.teacher_tokens, "pool: responses") == 2048 * 4 * 4 * 32


def test_a_method_without_reformulation_plans_none():
    made = plan("pocket", "method={type: grpo}", "teacher={type: none}")
    assert [estimate.what for estimate in made.round_tokens] == ["plain: prompts", "plain: responses"]
    assert value(made.round_tokens, "plain: responses") == 32 * 8 * 32
    assert not made.teacher_tokens


def test_checkpointing_trades_memory_for_compute():
    kept, recomputed = (plan("pocket", f"learner.gradient_checkpointing={on}") for on in ("false", "true"))
    assert value(recomputed.memory, "activations") < value(kept.memory, "activations")
    assert value(recomputed.compute, "updates") > value(kept.compute, "updates")


@given(st.integers(1, 10**6), st.floats(1e9, 1e15))
def test_time_is_compute_over_speed(vocabulary, rate):
    made = plan("pocket", student=shape(vocab_size=vocabulary), flop_per_second=rate)
    assert made.time[-1].unit == "seconds"
    assert made.time[-1].value == pytest.approx(sum(each.value for each in made.compute) / rate)


def test_the_number_of_training_questions_is_known_for_generators_only():
    assert train_questions(load_recipe("pocket").data) == 2048
    assert train_questions(load_recipe("pocket", ["data.max_train=100"]).data) == 100
    assert train_questions(load_recipe("qwen3-0.6b", ["data.max_train=null"]).data) is None
    assert train_questions(load_recipe("qwen3-0.6b", ["data.max_train=100"]).data) == 100
    assert any("does not say how many" in note for note in plan("qwen3-0.6b", "data.max_train=null").notes)


@pytest.mark.parametrize("recipe", shipped_recipes())
def test_the_text_shows_every_estimate(recipe):
    made = plan(recipe)
    shown = plan_text(load_recipe(recipe), made)
    assert all(estimate.how in shown for estimate in (*made.round_tokens, *made.memory, *made.compute))


def test_a_model_of_unknown_shape_leaves_the_tokens_and_says_so():
    config = load_recipe("pocket", ["student.model=some/model"])
    made = make_plan(config, find_shape(config.student), None)
    assert made.round_tokens
    assert not made.memory
    assert any("some/model" in note for note in made.notes)


@pytest.mark.parametrize("recipe", ["qwen3-0.6b", "qwen3.5-0.8b"])
def test_the_shapes_of_the_gpu_recipes_are_known_offline(recipe):
    config = load_recipe(recipe)
    made = make_plan(config, find_shape(config.student), None)
    assert 0.4e9 * 4 < value(made.memory, "student weights") < 1.0e9 * 4


def test_recurrent_layers_hold_a_state_for_each_sequence_decoded_together():
    config = load_recipe("qwen3.5-0.8b")
    shape = find_shape(config.student)
    made = make_plan(config, shape, None)
    sequences = config.engine.max_batch_tokens // config.sampling.max_response_tokens
    assert value(made.memory, "recurrent state") == sequences * state_bytes_per_sequence(shape.text, 4)
    plain = load_recipe("qwen3-0.6b")
    made = make_plan(plain, find_shape(plain.student), None)
    assert "recurrent state" not in [each.what for each in made.memory]


def test_the_logits_are_bounded_as_in_the_learner():
    assert resources.MAX_CHUNK_LOGITS == MAX_CHUNK_LOGITS
