"""How an update is computed: every switch leaves what it computes in place, and learns."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
import torch._dynamo.exc

from schemas.config.learner import TorchLearnerConfig
from tests.learning import group_rows, tiny_learner
from tests.tiny import tiny_model
from zppo.errors import InputError
from zppo.learners.torch import TorchLearner
from zppo.ports import MiniBatch, PolicyRow

ROWS = [row for row in group_rows(5, seed=2, longest=8) if row.advantage]
SWITCHES: dict[str, Mapping[str, object]] = {
    "none": {},
    "gradient checkpointing": {"gradient_checkpointing": True},
    "compile": {"compile": True},
    "autocast": {"autocast": "bfloat16"},
    "autocast and checkpointing": {"autocast": "bfloat16", "gradient_checkpointing": True},
}

COMPILED = pytest.param("compile", marks=[pytest.mark.slow, pytest.mark.timeout(3600)])


def gain(learner: TorchLearner, rows: list[PolicyRow]) -> float:
    """What training is to raise: the log-probabilities times the advantages."""
    pairs = zip(rows, learner.logprobs(rows), strict=True)
    return sum(row.advantage * sum(logprobs) for row, logprobs in pairs)


def trained(learner: TorchLearner, updates: int = 4) -> list[float]:
    """The gain before the first update and after each, all of them on the policy."""
    gains = [gain(learner, ROWS)]
    for _ in range(updates):
        scores = learner.logprobs(ROWS)
        rows = [replace(row, old_logprobs=old) for row, old in zip(ROWS, scores, strict=True)]
        learner.update(MiniBatch(tuple(rows)))
        gains.append(gain(learner, ROWS))
    return gains


@pytest.mark.parametrize("name", [*(name for name in SWITCHES if name != "compile"), COMPILED])
def test_training_learns_with_every_switch(name: str) -> None:
    gains = trained(tiny_learner(learning_rate=3e-3, **SWITCHES[name]))
    assert gains == sorted(gains)
    assert gains[-1] > gains[0] + 10


@pytest.mark.parametrize(("name", "tolerance"), [("gradient checkpointing", 1e-5), ("autocast", 5e-2)])
def test_a_switch_changes_an_update_by_rounding_alone(name: str, tolerance: float) -> None:
    plain, switched = (tiny_learner(learning_rate=1e-3, **SWITCHES[each]) for each in ("none", name))
    batch = MiniBatch(tuple(ROWS))
    expected, got = plain.update(batch), switched.update(batch)
    assert got.loss == pytest.approx(expected.loss, abs=tolerance)
    assert got.grad_norm == pytest.approx(expected.grad_norm, rel=tolerance)
    assert got.entropy == pytest.approx(expected.entropy, rel=tolerance)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_compiled_layers_give_what_the_others_give() -> None:
    plain, compiled = (tiny_learner(learning_rate=1e-3, compile=each) for each in (False, True))
    for _ in range(2):
        expected, got = (each.update(MiniBatch(tuple(ROWS))) for each in (plain, compiled))
        assert got.loss == pytest.approx(expected.loss, abs=1e-4)
        assert got.grad_norm == pytest.approx(expected.grad_norm, rel=1e-4)


def test_what_cannot_be_compiled_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise torch._dynamo.exc.InternalTorchDynamoError("no compiler")

    monkeypatch.setattr(torch, "compile", lambda layers, dynamic: refuse)
    with pytest.raises(InputError, match=r"torch\.compile fails on LlamaForCausalLM here: no compiler; set"):
        tiny_learner(compile=True)


def test_autocast_keeps_weights_and_scores_in_float32() -> None:
    model = tiny_model("llama")
    learner = tiny_learner(model, autocast="bfloat16")
    learner.update(MiniBatch(tuple(ROWS)))
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    scores = torch.tensor([value for row in learner.logprobs(ROWS) for value in row], dtype=torch.float64)
    assert not torch.equal(scores, scores.bfloat16().double())


def test_autocast_refuses_weights_that_are_not_float32() -> None:
    with pytest.raises(InputError, match="'bfloat16', which is for float32 weights"):
        tiny_learner(tiny_model("llama").bfloat16(), autocast="bfloat16")


def test_a_model_that_cannot_recompute_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("llama")
    monkeypatch.setattr(type(model), "supports_gradient_checkpointing", False)
    with pytest.raises(InputError, match="LlamaForCausalLM does not support gradient checkpointing"):
        tiny_learner(model, gradient_checkpointing=True)


def test_compiling_and_recomputing_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="exclude each other"):
        TorchLearnerConfig(compile=True, gradient_checkpointing=True)
