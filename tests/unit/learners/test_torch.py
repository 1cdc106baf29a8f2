"""The torch learner beyond its contract."""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM, PreTrainedModel

from schemas.config.learner import TorchLearnerConfig
from tests.learning import random_rows, tiny_learner, weights
from tests.tiny import ARCHITECTURES, VOCABULARY, multimodal_model, tiny_model
from zppo.core.objective import ClipBounds, clipped_surrogate
from zppo.errors import EngineError, InputError
from zppo.learners.schedule import learning_rate
from zppo.ports import MiniBatch, TrainingRow

ROWS = random_rows(11)
BATCH = MiniBatch(tuple(ROWS))
BOUNDS = ("low", "high", "dual")
MODELS: dict[str, Callable[[], PreTrainedModel]] = {
    **{name: partial(tiny_model, name) for name in ARCHITECTURES},
    "qwen3_5 multimodal": multimodal_model,
}


def naive_logprobs(model: PreTrainedModel, row: TrainingRow, temperature: float = 1.0) -> torch.Tensor:
    """One row through the model's own logits, without padding."""
    ids = torch.tensor([row.prompt_ids + row.response_ids])
    logits: torch.Tensor = model(input_ids=ids, use_cache=False).logits[0, len(row.prompt_ids) - 1 : -1]
    logprobs = (logits / temperature).log_softmax(-1)
    return logprobs[torch.arange(len(row.response_ids)), list(row.response_ids)]


def layers_of(model: PreTrainedModel) -> list[Any]:
    return [model.get_submodule(f"model.layers.{index}") for index in range(2)]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_padded_rows_equal_one_row_at_a_time(name: str, temperature: float) -> None:
    model = MODELS[name]().double()  # wild random weights amplify rounding
    rows = random_rows(8, longest=80)  # the recurrent layers work in chunks of 64 tokens
    padded = tiny_learner(model, temperature).logprobs(rows)
    for row, logprobs in zip(rows, padded, strict=True):
        assert logprobs == pytest.approx(naive_logprobs(model, row, temperature).tolist(), abs=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_one_update_equals_a_plain_loop_over_rows(name: str) -> None:
    model, reference = MODELS[name](), MODELS[name]()
    tokens = sum(len(row.response_ids) for row in ROWS)
    losses = []
    for row in ROWS:
        old, advantages = torch.tensor(row.old_logprobs), torch.full((len(row.response_ids),), row.advantage)
        sums = clipped_surrogate(naive_logprobs(reference, row), old, advantages, ClipBounds())
        losses.append(sums.loss)
    loss = torch.stack(losses).sum() / tokens
    torch.autograd.backward(loss)
    trained = [weight for weight in reference.parameters() if weight.grad is not None]
    norm = torch.nn.utils.clip_grad_norm_(trained, 1.0)
    torch.optim.AdamW(trained, lr=1e-3, weight_decay=0.1).step()

    statistics = tiny_learner(model, learning_rate=1e-3).update(BATCH)
    assert statistics.loss == pytest.approx(loss.item(), rel=1e-4)
    assert statistics.grad_norm == pytest.approx(norm.item(), rel=1e-3)
    expected = dict(reference.named_parameters())
    moved = [(weight - expected[key]).abs().max().item() for key, weight in model.named_parameters()]
    assert max(moved) < 2e-4  # of a step of 1e-3: where the gradient is near 0 only its sign counts in AdamW


@pytest.mark.parametrize("max_batch_tokens", [1, 30, 77])
def test_the_loss_does_not_depend_on_the_micro_batch_split(max_batch_tokens: int) -> None:
    whole = tiny_learner().update(BATCH)
    split = tiny_learner(max_batch_tokens=max_batch_tokens).update(BATCH)
    assert split.loss == pytest.approx(whole.loss, abs=1e-6)
    assert split.grad_norm == pytest.approx(whole.grad_norm, rel=1e-5)
    assert split.entropy == pytest.approx(whole.entropy, abs=1e-5)
    assert replace(split, loss=0, grad_norm=0, entropy=0) == replace(whole, loss=0, grad_norm=0, entropy=0)


@pytest.mark.parametrize("max_batch_tokens", [1, 30, 10_000])
def test_every_clipped_token_is_told_once_in_the_order_of_the_rows(max_batch_tokens: int) -> None:
    statistics = tiny_learner(max_batch_tokens=max_batch_tokens).update(BATCH)
    told = statistics.clipped_tokens
    assert told
    count = {bound: sum(len(each.places) for each in told if each.bound == bound) for bound in BOUNDS}
    assert statistics.clip_low_fraction == count["low"] / statistics.tokens
    assert statistics.clip_high_fraction == count["high"] / statistics.tokens
    assert statistics.dual_clip_fraction == count["dual"] / statistics.tokens
    names = [row.rollout for row in ROWS]
    assert [names.index(each.rollout) for each in told] == sorted(names.index(each.rollout) for each in told)
    lengths = {row.rollout: len(row.response_ids) for row in ROWS}
    assert all(each.places[-1] < lengths[each.rollout] for each in told)


def test_the_same_update_gives_the_same_weights_to_the_bit_in_any_order_of_rows() -> None:
    first, second = tiny_model("llama"), tiny_model("llama")
    tiny_learner(first, max_batch_tokens=60).update(BATCH)
    tiny_learner(second, max_batch_tokens=60).update(MiniBatch(tuple(reversed(ROWS))))
    assert weights(first) == weights(second)


def test_rows_without_an_advantage_count_in_the_denominator_alone() -> None:
    active = [row for row in ROWS if row.advantage]
    tokens = {
        name: sum(len(row.response_ids) for row in rows) for name, rows in (("all", ROWS), ("active", active))
    }
    assert tokens["all"] > tokens["active"]
    alone = tiny_learner().update(MiniBatch(tuple(active)))
    together = tiny_learner().update(BATCH)
    ratio = tokens["active"] / tokens["all"]
    assert together.loss == pytest.approx(alone.loss * ratio, rel=1e-5)
    assert together.grad_norm == pytest.approx(alone.grad_norm * ratio, rel=1e-5)
    assert together.entropy == pytest.approx(alone.entropy)


def test_gradient_checkpointing_changes_nothing_but_memory() -> None:
    plain, recomputed = tiny_model("llama"), tiny_model("llama")
    assert tiny_learner(recomputed, gradient_checkpointing=True).update(BATCH) == tiny_learner(plain).update(
        BATCH
    )
    assert weights(plain) == weights(recomputed)
    assert not any(module.training for module in recomputed.modules())


def test_gradient_checkpointing_recomputes_every_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("llama")
    learner = tiny_learner(model, gradient_checkpointing=True)
    calls: list[int] = []
    for index, layer in enumerate(layers_of(model)):
        layer.input_layernorm.register_forward_hook(lambda *_, index=index: calls.append(index))
    learner.update(MiniBatch((replace(ROWS[0], advantage=1.0),)))
    assert sorted(calls) == [0, 0, 1, 1]


def test_dropout_is_off() -> None:
    model = tiny_model("llama").train()
    model.config.attention_dropout = 0.5
    for layer in layers_of(model):
        layer.self_attn.attention_dropout = 0.5
    assert tiny_learner(model, gradient_checkpointing=True).update(BATCH) == tiny_learner().update(BATCH)


def test_the_learning_rate_rises_linearly_then_stays() -> None:
    config = TorchLearnerConfig(learning_rate=1.0, warmup_updates=4)
    assert [learning_rate(config, done) for done in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert learning_rate(TorchLearnerConfig(learning_rate=1.0), 0) == 1.0


def test_the_warm_up_scales_the_first_steps() -> None:
    base, full, warmed = (tiny_model("llama") for _ in range(3))
    tiny_learner(full, weight_decay=0).update(BATCH)
    tiny_learner(warmed, weight_decay=0, warmup_updates=10).update(BATCH)
    for start, whole, tenth in zip(base.parameters(), full.parameters(), warmed.parameters(), strict=True):
        torch.testing.assert_close(tenth - start, (whole - start) / 10, atol=1e-6, rtol=1e-3)


def test_only_the_micro_batch_with_the_bad_number_is_named() -> None:
    bad = replace(ROWS[0], old_logprobs=(math.nan,) * len(ROWS[0].response_ids), advantage=1.0)
    rows = [bad, *(replace(row, advantage=1.0) for row in ROWS[1:])]
    with pytest.raises(EngineError) as error:
        tiny_learner(max_batch_tokens=1).update(MiniBatch(tuple(rows)))
    assert re.findall(r"r1/q/plain#\d+", str(error.value)) == [bad.rollout]


def test_a_gradient_that_is_not_finite_names_its_micro_batch_and_changes_nothing() -> None:
    model = tiny_model("llama")
    learner = tiny_learner(model, max_batch_tokens=1)
    before = weights(model)
    rows = [replace(row, advantage=1.0) for row in ROWS]
    culprit = rows[3] = replace(rows[3], prompt_ids=(5,) * 50)

    def explode(gradient: torch.Tensor) -> torch.Tensor:
        return gradient * math.inf if gradient.shape[1] > 50 else gradient

    model.get_submodule("model.norm").register_forward_hook(
        lambda *hook: hook[2].register_hook(explode) and None
    )
    with pytest.raises(EngineError, match=rf"gradient norm is (nan|inf) .* {culprit.rollout};"):
        learner.update(MiniBatch(tuple(rows)))
    assert weights(model) == before


def test_weights_that_overflow_in_the_step_raise_and_name_the_rollouts() -> None:
    learner = tiny_learner(learning_rate=1e38, weight_decay=1e10)
    with pytest.raises(EngineError, match=r"update 1, on rollouts r1/q/plain#.* weights that are not finite"):
        learner.update(BATCH)


def test_a_model_that_caps_its_logits_is_refused() -> None:
    config = Gemma2Config(
        vocab_size=VOCABULARY, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, head_dim=8, pad_token_id=0,
        final_logit_softcapping=0.01,
    )  # fmt: skip
    with pytest.raises(InputError, match="Gemma2ForCausalLM"):
        tiny_learner(Gemma2ForCausalLM(config))  # type: ignore[no-untyped-call]
