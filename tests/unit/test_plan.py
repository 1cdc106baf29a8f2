"""The estimates follow from the recipe by the arithmetic that they show."""

import re
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zppo.cli import main
from zppo.graders.judge import DECODING
from zppo.learners.head import MAX_CHUNK_LOGITS
from zppo.models.shapes import ModelShape, TextShape
from zppo.models.size import state_bytes_per_sequence
from zppo.plan import find_shape, make_plan, resources, writers
from zppo.plan.hardware import Hardware
from zppo.plan.lengths import Expected
from zppo.plan.text import FORMULAS, plan_text
from zppo.plan.tokens import train_questions
from zppo.recipes import load_recipe, shipped_recipes
from zppo.teachers.text import ROOM


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


ENDPOINT = "qwen3.5-0.8b-endpoint"


def test_an_endpoint_costs_its_tokens_at_the_recipes_prices():
    config = load_recipe(ENDPOINT)
    made = make_plan(config, find_shape(config.student), None)
    read, written = (
        sum(each.value for each in made.teacher_tokens if each.what.endswith(end))
        for end in ("prompts", "responses")
    )
    prices = config.teacher.prices
    most = (read * prices.input_per_million + written * prices.output_per_million) / 1e6
    assert value(made.money, "teacher (USD)") == pytest.approx(most)


def test_an_endpoint_without_prices_costs_tokens_and_the_plan_says_so():
    config = load_recipe(ENDPOINT, ["teacher.prices=null"])
    made = make_plan(config, find_shape(config.student), None)
    assert made.teacher_tokens
    assert not made.money
    assert any("teacher.prices" in note for note in made.notes)


def test_one_request_for_all_choices_reads_a_prompt_once():
    asked = [load_recipe(ENDPOINT, [f"teacher.many_choices={on}"]) for on in ("false", "true")]
    apart, shared = (make_plan(config, None, None) for config in asked)
    what = "online: prompts"
    assert value(apart.teacher_tokens, what) == 4 * value(shared.teacher_tokens, what)


def test_a_judge_costs_a_verdict_for_every_response_that_may_reach_it():
    judge = "judge={type: endpoint, model: a judge, prices: {input_per_million: 1, output_per_million: 2}}"
    held_out = make_plan(load_recipe(ENDPOINT, [judge]), None, None)
    assert [each.what for each in held_out.judge_tokens] == ["evaluation: prompts", "evaluation: responses"]
    free = make_plan(load_recipe(ENDPOINT, [judge, "data.sources.0.answer_kind=free"]), None, None)
    # All rollouts of the student, and the teacher's responses.
    graded = 200 * (480 + 96) * 8 + 96_000 * 4
    assert value(free.judge_tokens, "training: responses") == graded * 512
    assert value(free.money, "judge (USD)") > value(held_out.money, "judge (USD)")


def test_the_teachers_text_lies_once_on_the_disk_in_the_pool_or_in_the_rounds_that_drew_it():
    config = load_recipe("qwen3.5-0.8b")
    made = make_plan(config, find_shape(config.student), None)
    for what, drawn in (("teacher pool", "pool"), ("rounds: teacher responses", "online")):
        assert value(made.disk, what) == 4 * value(made.teacher_tokens, f"{drawn}: responses") > 0
    assert "rounds: teacher responses" not in [each.what for each in plan("pocket").disk]


def test_expected_lengths_are_never_above_the_limits():
    bound, same = (plan("pocket", expected=expected) for expected in (None, Expected(1e6, 1e6)))
    assert [each.value for each in same.round_tokens[:2]] == [each.value for each in bound.round_tokens[:2]]
    assert plan("pocket", expected=Expected(10, 10)).time[-1].value < bound.time[-1].value


def test_memory_bounds_the_time_of_sampling_where_it_is_the_slower():
    fast, slow = (plan("pocket", flop_per_second=1e15, bytes_per_second=rate) for rate in (1e15, 1e6))
    assert value(slow.time, "student rollouts") > value(fast.time, "student rollouts")
    assert value(slow.time, "updates") == value(fast.time, "updates")


def test_more_devices_take_less_time_and_cost_no_less():
    config = load_recipe("pocket")
    one, four = (
        make_plan(config, shape(), shape(), Hardware(price_per_hour=1.0, learner=count, student=count))
        for count in (1, 4)
    )
    assert four.time[-1].value == pytest.approx(one.time[-1].value / 4)
    assert four.money[0].value == pytest.approx(one.money[0].value)


@given(st.integers(1, 400))
def test_a_server_never_decodes_more_sequences_than_its_memory_holds(gigabytes):
    config = load_recipe("qwen3.5-0.8b-node")
    hardware = Hardware(memory_bytes=gigabytes * 1e9)
    made = make_plan(config, find_shape(config.student), None, hardware, Expected(4096, 12288))
    held = sum(each.value for each in made.server_memory)
    one_sequence = any("DOES NOT FIT one" in line for line in made.fits)
    assert one_sequence or held <= 0.6 * gigabytes * 1e9


def test_the_command_shows_formulas_only_where_it_is_asked(capsys):
    with pytest.raises(SystemExit):
        main(["check", "pocket", "--gpu-price", "2", "--mean-response", "12", "--explain"])
    explained = capsys.readouterr().out
    assert all(f"({formula})" in explained for title, formula in FORMULAS.items() if title in explained)
    assert "expected, with responses of 12 tokens" in explained
    with pytest.raises(SystemExit):
        main(["check", "pocket"])
    assert "(arithmetic / FLOP/s" not in capsys.readouterr().out


def test_verdicts_and_summaries_are_bounded_as_where_they_are_asked_for():
    assert DECODING.max_response_tokens == writers.VERDICT_TOKENS
    assert writers.ROOM == ROOM
