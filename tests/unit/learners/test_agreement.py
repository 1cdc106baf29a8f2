"""The learner and the sampler, which share one model, score the same tokens alike."""

from dataclasses import replace

import pytest

from schemas.config.models import DecodingConfig, TransformersEngineConfig
from tests.learning import tiny_learner
from tests.tiny import ARCHITECTURES, tiny_chat, tiny_model
from zppo.engines.transformers import TransformersEngine
from zppo.ports import Generation, GenerationRequest, MiniBatch, PolicyRow

PROMPTS = ((3, 7, 4), (3, *range(5, 40), 4), (3, 9, 9, 12, 20, 4))


def sampled_rows(engine: TransformersEngine, temperature: float) -> list[PolicyRow]:
    requests = [
        GenerationRequest(f"q{index}", prompt, seeds=tuple(range(4))) for index, prompt in enumerate(PROMPTS)
    ]
    decoding = DecodingConfig(
        temperature=temperature, top_p=1.0, top_k=0, presence_penalty=0.0, max_response_tokens=30
    )
    return [
        PolicyRow(f"{request.id}#{index}", request.prompt_ids, each.token_ids, each.logprobs, index - 1.5)
        for request, answers in zip(requests, engine.generate(requests, decoding), strict=True)
        for index, each in enumerate(answers)
        if isinstance(each, Generation)
    ]


@pytest.mark.parametrize(
    ("architecture", "temperature", "checkpointing"),
    [(name, 1.0, False) for name in ARCHITECTURES] + [("llama", 0.8, True), ("qwen3_5", 0.8, True)],
)
def test_log_probabilities_agree_before_and_after_updates(
    architecture: str, temperature: float, checkpointing: bool
) -> None:
    model = tiny_model(architecture)
    engine = TransformersEngine(model, tiny_chat(), TransformersEngineConfig())
    learner = tiny_learner(
        model, temperature, learning_rate=1e-3, max_batch_tokens=200, gradient_checkpointing=checkpointing
    )
    for _ in range(2):
        rows = sampled_rows(engine, temperature)
        assert len(rows) == 4 * len(PROMPTS)
        for row, logprobs in zip(rows, learner.logprobs(rows), strict=True):
            assert logprobs == pytest.approx(row.old_logprobs, abs=1e-4)
        learner.update(MiniBatch(tuple(rows)))


def test_on_policy_tokens_are_never_clipped() -> None:
    model = tiny_model("llama")
    rows = sampled_rows(TransformersEngine(model, tiny_chat(), TransformersEngineConfig()), 1.0)
    statistics = tiny_learner(model).update(MiniBatch(tuple(rows)))
    fractions = (statistics.clip_low_fraction, statistics.clip_high_fraction, statistics.dual_clip_fraction)
    assert fractions == (0.0, 0.0, 0.0)
    on_policy_loss = -sum(row.advantage * len(row.response_ids) for row in rows) / statistics.tokens
    assert statistics.loss == pytest.approx(on_policy_loss, abs=1e-4)


def test_a_wrong_temperature_shows_as_drift() -> None:
    model = tiny_model("llama")
    rows = sampled_rows(TransformersEngine(model, tiny_chat(), TransformersEngineConfig()), 1.0)
    scored = tiny_learner(model, temperature=0.8).logprobs([replace(row, advantage=0.0) for row in rows])
    drift = max(
        abs(new - old)
        for row, logprobs in zip(rows, scored, strict=True)
        for new, old in zip(logprobs, row.old_logprobs, strict=True)
    )
    assert drift > 1e-2
