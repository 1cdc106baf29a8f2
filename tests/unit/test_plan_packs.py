"""What the plan takes an update to read against what the learner reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tiny import ARCHITECTURES, tiny_model
from zppo.learners.packing import sharing_of
from zppo.models.shapes import committed_shape, directory_shape
from zppo.plan import make_plan
from zppo.plan.hardware import Hardware
from zppo.plan.lengths import Expected, find_lengths
from zppo.plan.packs import shape_sharing, update_reading
from zppo.recipes import load_recipe

SHARES = committed_shape("Qwen/Qwen3-0.6B").text
RECURRENT = committed_shape("Qwen/Qwen3.5-0.8B").text


def reading(*shapes, prompt=100, response=30, share="auto"):
    config = load_recipe("pocket", [f"learner.share_prompts={share}", "learner.max_batch_tokens=4096"])
    config = config.model_copy(
        update={
            "sampling": config.sampling.model_copy(
                update={"max_prompt_tokens": prompt, "max_response_tokens": response}
            )
        }
    )
    return config, update_reading(config, find_lengths(config, Expected()), shapes)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_shape_admits_packs_as_its_model_does(architecture, tmp_path):
    model = tiny_model(architecture)
    model.config.save_pretrained(tmp_path)
    config = load_recipe("pocket")
    planned = shape_sharing(config, directory_shape(tmp_path).text)
    found = sharing_of(model, config.learner.max_batch_tokens)
    assert (planned is None) == (found is None)
    if planned is not None:
        assert planned.longest == found.longest
        assert planned.reach == pytest.approx(found.reach)


@given(prompt=st.integers(1, 600), response=st.integers(1, 200))
def test_an_update_without_packs_reads_each_response_with_its_prompt(prompt, response):
    config, apart = reading(SHARES, prompt=prompt, response=response, share="never")
    lengths = find_lengths(config, Expected())
    groups = 40 * (prompt + response - 1) + 8 * (lengths.helped[1] + response - 1)
    assert apart.tokens == config.method.group_size * groups


@given(prompt=st.integers(1, 600), response=st.integers(2, 200))
def test_packs_never_make_an_update_read_more(prompt, response):
    _, packed = reading(SHARES, prompt=prompt, response=response)
    _, apart = reading(SHARES, prompt=prompt, response=response, share="never")
    assert packed.tokens <= apart.tokens
    _, with_recurrent = reading(SHARES, RECURRENT, prompt=prompt, response=response)
    assert with_recurrent == apart


def test_groups_without_a_spread_cost_no_updates():
    shape = committed_shape("Qwen/Qwen3-0.6B")
    config = load_recipe("qwen3-0.6b")

    def seconds(spread):
        made = make_plan(config, shape, None, Hardware(), Expected(spread=spread))
        return {each.what: each.value for each in made.time}

    whole, half = seconds(1.0), seconds(0.5)
    assert half["updates"] == pytest.approx(whole["updates"] / 2)
    assert half["student rollouts"] == whole["student rollouts"]
