"""The torch learner with a teacher in its loss."""

import math
import re
from dataclasses import replace

import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from tests.learning import distillation_rows, random_rows, tiny_distiller, tiny_learner, weights
from tests.tiny import ARCHITECTURES, VOCABULARY, tiny_config, tiny_model
from zppo.errors import EngineError, InputError
from zppo.ports import DistillationRow, MiniBatch

ROWS = distillation_rows(11)
BATCH = MiniBatch(tuple(ROWS))


def larger_teacher(padding: int = 0) -> PreTrainedModel:
    """Another hidden size and depth than the student's, and more logits than there are tokens."""
    config = LlamaConfig(**{**tiny_config("llama").to_dict(), "hidden_size": 48, "num_hidden_layers": 3})
    config.vocab_size = VOCABULARY + padding
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return LlamaForCausalLM(config)  # type: ignore[no-untyped-call]


def distributions(model: PreTrainedModel, row: DistillationRow) -> torch.Tensor:
    """Of one row, without padding, at each response token."""
    ids = torch.tensor([row.prompt_ids + row.response_ids])
    logits: torch.Tensor = model(input_ids=ids, use_cache=False).logits[0, len(row.prompt_ids) - 1 : -1]
    return logits.softmax(-1)


def naive_loss(student: PreTrainedModel, teacher: PreTrainedModel, rows: list[DistillationRow]) -> float:
    total = 0.0
    for row in rows:
        p, q = distributions(student, row), distributions(teacher, row)
        m = (p + q) / 2
        divergences = ((p * (p / m).log()).sum(-1) + (q * (q / m).log()).sum(-1)) / 2
        total += row.weight * divergences.mean().item()
    return total


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_loss_is_the_weighted_mean_divergence_of_each_row(architecture: str) -> None:
    student, teacher = tiny_model(architecture), larger_teacher()
    expected = naive_loss(student, teacher, ROWS)
    assert 0 < expected < math.log(2) * sum(row.weight for row in ROWS)
    for max_batch_tokens in (10_000, 40):
        fresh = tiny_model(architecture)
        statistics = tiny_distiller(fresh, teacher, max_batch_tokens=max_batch_tokens).update(BATCH)
        assert statistics.loss == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("max_batch_tokens", [1, 30, 77])
def test_the_loss_does_not_depend_on_the_micro_batch_split(max_batch_tokens: int) -> None:
    whole = tiny_distiller().update(BATCH)
    split = tiny_distiller(max_batch_tokens=max_batch_tokens).update(BATCH)
    assert split.loss == pytest.approx(whole.loss, abs=1e-6)
    assert split.grad_norm == pytest.approx(whole.grad_norm, rel=1e-5)
    assert split.entropy == pytest.approx(whole.entropy, abs=1e-5)
    assert (split.tokens, split.active_tokens) == (whole.tokens, whole.active_tokens)


def test_the_loss_does_not_depend_on_the_chunks_of_the_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tiny_distiller().update(BATCH)
    monkeypatch.setattr("zppo.learners.head.compare_tokens.__defaults__", (5 * 2 * VOCABULARY,))
    chunked = tiny_distiller().update(BATCH)
    assert chunked.loss == pytest.approx(whole.loss, abs=1e-6)
    assert chunked.grad_norm == pytest.approx(whole.grad_norm, rel=1e-5)


def test_rows_without_a_weight_have_no_influence() -> None:
    active = MiniBatch(tuple(row for row in ROWS if row.weight))
    with_others, alone = tiny_model("llama"), tiny_model("llama")
    together, apart = tiny_distiller(with_others).update(BATCH), tiny_distiller(alone).update(active)
    assert replace(together, tokens=apart.tokens) == apart
    assert together.tokens > apart.tokens
    assert weights(with_others) == weights(alone)


def test_a_long_response_weighs_as_much_as_a_short_one() -> None:
    token = ROWS[0].response_ids[0]
    # A model that sees nothing but the last token repeats its divergence at every one of them.
    rows = [DistillationRow(str(n), (token,), (token,) * n, 1.0) for n in (1, 9)]
    student, teacher = tiny_model("llama"), tiny_model("llama", seed=7)
    for model in (student, teacher):
        for name, weight in model.named_parameters():
            if "self_attn" in name:
                torch.nn.init.zeros_(weight)
    losses = [
        tiny_distiller(student, teacher, learning_rate=1e-30).update(MiniBatch((row,))).loss for row in rows
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


def test_nothing_is_learnt_from_a_teacher_that_is_the_student() -> None:
    statistics = tiny_distiller(tiny_model("llama"), tiny_model("llama")).update(BATCH)
    assert statistics.loss == pytest.approx(0.0, abs=1e-6)
    assert statistics.grad_norm == pytest.approx(0.0, abs=1e-4)


def test_the_teacher_keeps_its_weights_to_the_bit_and_gets_no_gradient() -> None:
    teacher = tiny_model("llama", seed=7)
    before = weights(teacher)
    learner = tiny_distiller(teacher=teacher)
    for _ in range(3):
        learner.update(BATCH)
    assert weights(teacher) == before
    assert all(weight.grad is None for weight in teacher.parameters())


def test_a_student_approaches_a_teacher_on_rows_it_has_not_seen() -> None:
    student, teacher = tiny_model("llama"), larger_teacher()
    seen, unseen = distillation_rows(60, seed=1, longest=8), distillation_rows(10, seed=2, longest=8)
    before = naive_loss(student, teacher, unseen)
    learner = tiny_distiller(student, teacher, learning_rate=5e-3, weight_decay=0.0)
    losses = [learner.update(MiniBatch(tuple(seen))).loss for _ in range(60)]
    assert losses[-1] < 0.5 * losses[0]
    assert naive_loss(student, teacher, unseen) < 0.8 * before


def test_dropout_of_the_teacher_is_off() -> None:
    noisy = tiny_model("llama", seed=7).train()
    for index in range(2):
        noisy.get_submodule(f"model.layers.{index}").self_attn.attention_dropout = 0.5
    assert tiny_distiller(teacher=noisy).update(BATCH) == tiny_distiller().update(BATCH)


def test_gradient_checkpointing_changes_nothing_but_memory() -> None:
    plain, recomputed = tiny_model("llama"), tiny_model("llama")
    expected = tiny_distiller(plain).update(BATCH)
    assert tiny_distiller(recomputed, gradient_checkpointing=True).update(BATCH) == expected
    assert weights(plain) == weights(recomputed)


def test_logits_that_stand_for_no_token_are_left_out() -> None:
    padded, plain = larger_teacher(padding=16), larger_teacher()
    plain.load_state_dict(
        {
            name: tensor[:VOCABULARY] if tensor.shape[0] == VOCABULARY + 16 else tensor
            for name, tensor in padded.state_dict().items()
        }
    )
    wide, narrow = tiny_distiller(teacher=padded).update(BATCH), tiny_distiller(teacher=plain).update(BATCH)
    assert wide.loss == pytest.approx(narrow.loss, abs=1e-6)
    assert wide.grad_norm == pytest.approx(narrow.grad_norm, rel=1e-5)


def test_only_the_micro_batch_with_the_bad_number_is_named() -> None:
    model = tiny_model("llama")
    rows = [replace(row, weight=1.0) for row in ROWS]
    bad = rows[3] = replace(rows[3], prompt_ids=(VOCABULARY - 1,), response_ids=(1, 2))
    rows = [replace(row, prompt_ids=(2,), response_ids=(3,)) if row is not bad else row for row in rows]
    teacher = tiny_model("llama", seed=7)
    with torch.no_grad():
        teacher.get_input_embeddings().weight[VOCABULARY - 1] = math.nan  # type: ignore[operator]
    before = weights(model)
    with pytest.raises(EngineError, match="the loss is nan") as error:
        tiny_distiller(model, teacher, max_batch_tokens=1).update(MiniBatch(tuple(rows)))
    assert re.findall(r"r1/q/plain#\d+", str(error.value)) == [bad.rollout]
    assert weights(model) == before


def test_a_teacher_that_caps_its_logits_is_refused() -> None:
    config = Gemma2Config(
        vocab_size=VOCABULARY, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, head_dim=8, pad_token_id=0,
        final_logit_softcapping=0.01,
    )  # fmt: skip
    with pytest.raises(InputError, match="Gemma2ForCausalLM"):
        tiny_distiller(teacher=Gemma2ForCausalLM(config))  # type: ignore[no-untyped-call]


def test_rows_of_the_other_kind_never_reach_an_objective() -> None:
    with pytest.raises(AssertionError, match="DistillationRow"):
        tiny_distiller().update(MiniBatch(tuple(random_rows(2))))
    with pytest.raises(AssertionError, match="PolicyRow"):
        tiny_learner().update(BATCH)
