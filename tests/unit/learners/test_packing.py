"""Updates in which rows share their prompt, against the plain path."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import MistralConfig, MistralForCausalLM, PreTrainedModel

from tests.learning import distillation_rows, group_rows, tiny_distiller, tiny_learner
from tests.tiny import ARCHITECTURES, VOCABULARY, multimodal_model, tiny_config, tiny_model
from zppo.learners.packing import sharing_of
from zppo.learners.torch import TorchLearner
from zppo.ports import MiniBatch, PolicyRow

ATTENTION = ("llama", "qwen2", "qwen3")
TOKENS = 400


def mistral(window: int | None) -> PreTrainedModel:
    shape = {name: getattr(tiny_config("llama"), name) for name in ("hidden_size", "intermediate_size")}
    config = MistralConfig(
        vocab_size=VOCABULARY,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=window,
        initializer_range=0.15,
        **shape,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MistralForCausalLM(config).eval()


def gradient(learner: TorchLearner, model: PreTrainedModel, batch: MiniBatch) -> tuple[float, Tensor]:
    """Loss and gradient of an update before it is clipped; the weights move too little to matter."""
    gradients: dict[str, Tensor] = {}
    for name, weight in model.named_parameters():
        weight.register_post_accumulate_grad_hook(  # type: ignore[no-untyped-call]
            lambda each, name=name: gradients.__setitem__(name, each.grad.clone())
        )
    loss = learner.update(batch).loss
    return loss, torch.cat([gradients[name].flatten() for name, _ in model.named_parameters()])


def compare(make: Callable[[], PreTrainedModel], rows: list[PolicyRow], max_batch_tokens: int) -> None:
    limits = {"max_batch_tokens": max_batch_tokens, "learning_rate": 1e-9, "max_grad_norm": 1e9}
    results, scores = [], []
    for share in ("never", "auto"):
        model = make()
        learner = tiny_learner(model, share_prompts=share, **limits)
        scores.append([value for logprobs in learner.logprobs(rows) for value in logprobs])
        results.append(gradient(learner, model, MiniBatch(tuple(rows))))
    (plain_loss, plain), (shared_loss, shared) = results
    assert scores[1] == pytest.approx(scores[0], abs=1e-5)
    assert shared_loss == pytest.approx(plain_loss, abs=1e-5)
    torch.testing.assert_close(shared, plain, atol=1e-5 * max(1.0, plain.abs().max().item()), rtol=1e-5)


@pytest.mark.parametrize("name", ATTENTION)
@settings(max_examples=12, deadline=None)
@given(groups=st.integers(1, 5), seed=st.integers(0, 1000), max_batch_tokens=st.sampled_from([1, 50, 400]))
def test_values_and_gradients_are_those_of_rows_alone(
    name: str, groups: int, seed: int, max_batch_tokens: int
) -> None:
    compare(partial(tiny_model, name), group_rows(groups, seed), max_batch_tokens)


@pytest.mark.parametrize("window", [None, 12, 40])
def test_a_sliding_window_limits_packs_to_what_it_covers(window: int | None) -> None:
    sharing = sharing_of(mistral(window), TOKENS)
    assert sharing is not None
    assert sharing.longest == (window or TOKENS)
    compare(partial(mistral, window), group_rows(4, seed=3, longest=20), TOKENS)


@pytest.mark.parametrize("name", [*ARCHITECTURES, "qwen3_5 multimodal"])
def test_attention_alone_shares_prompts_and_layers_with_a_state_do_not(name: str) -> None:
    model = multimodal_model() if name == "qwen3_5 multimodal" else tiny_model(name)
    assert (sharing_of(model, TOKENS) is not None) == (name in ATTENTION)


def test_attention_that_takes_no_mask_shares_no_prompts() -> None:
    model = tiny_model("llama")
    model.set_attn_implementation("eager")
    assert sharing_of(model, TOKENS) is None


def test_a_teacher_with_a_state_keeps_distillation_on_the_plain_path() -> None:
    rows = [replace(row, prompt_ids=(3, 4, 5)) for row in distillation_rows(6)]
    losses = {
        share: tiny_distiller(teacher=tiny_model("qwen3_5"), share_prompts=share).update(
            MiniBatch(tuple(rows))
        )
        for share in ("auto", "never")
    }
    assert losses["auto"] == losses["never"]


def test_distillation_with_shared_prompts_equals_rows_alone() -> None:
    rows = [
        replace(row, prompt_ids=(3, 4, 5, 6)[: 3 + place % 2])
        for place, row in enumerate(distillation_rows(10))
    ]
    auto, never = (
        tiny_distiller(share_prompts=share).update(MiniBatch(tuple(rows))) for share in ("auto", "never")
    )
    assert auto.loss == pytest.approx(never.loss, abs=1e-6)
    assert auto.grad_norm == pytest.approx(never.grad_norm, rel=1e-4)


def test_a_shared_prompt_goes_through_the_model_once() -> None:
    row = group_rows(1)[0]
    rows = [replace(row, rollout=f"q#{n}", prompt_ids=(3,) * 10, response_ids=(4,) * 5) for n in range(4)]
    computed = {}
    for share in ("never", "auto"):
        model, lengths = tiny_model("llama"), []
        learner = tiny_learner(model, share_prompts=share)
        model.get_input_embeddings().register_forward_hook(
            lambda _module, args, _output, lengths=lengths: lengths.append(args[0].numel())
        )
        learner.logprobs(rows)
        computed[share] = sum(lengths)
    assert computed == {"never": 4 * (10 + 4), "auto": 10 + 4 * 4}
