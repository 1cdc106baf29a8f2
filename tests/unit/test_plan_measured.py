"""The plan's tokens, disk and memory against runs of three rounds, with their mean lengths given."""

import importlib.util

import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM

from schemas.teacher import TeacherPool
from tests.measured_runs import ROUNDS, measure, value
from zppo.models import smollm2

PLANNED_CHECKPOINTS = 3
"""The last, the best, and the promoted one."""
NEEDED = (smollm2.PACKAGE, "reasoning_gym")
SMOLLM2 = pytest.param(
    "smollm2",
    marks=[
        pytest.mark.slow,
        pytest.mark.timeout(1800),
        pytest.mark.skipif(not all(map(importlib.util.find_spec, NEEDED)), reason="see `make smollm2`"),
    ],
)


@pytest.fixture(scope="module", params=["pocket", SMOLLM2])
def measured(request, tmp_path_factory):
    return measure(request.param, tmp_path_factory.mktemp("measured"))


def test_tokens_are_within_a_quarter_of_a_measured_run(measured):
    assert len(measured.reports) == ROUNDS
    kinds = [kind for report in measured.reports for kind in report.kinds]
    prompts = sum(kind.prompt_tokens for kind in kinds)
    responses = sum(kind.response_tokens for kind in kinds)
    tokens = measured.made.round_tokens
    planned = [
        sum(each.value for each in tokens if each.what.endswith(end)) for end in ("prompts", "responses")
    ]
    assert ROUNDS * planned[0] == pytest.approx(prompts, rel=0.25)
    assert ROUNDS * planned[1] == pytest.approx(responses, rel=0.25)


def test_the_pools_tokens_are_within_a_quarter_of_a_measured_run(measured):
    if measured.config.teacher.type != "model":
        pytest.skip("its teacher is no model")
    (file,) = measured.home.glob("store/precompute/*/report.json")
    pool = TeacherPool.model_validate_json(file.read_bytes())
    assert value(measured.made.teacher_tokens, "pool: responses") == pytest.approx(pool.tokens, rel=0.25)


def test_disk_is_within_a_quarter_of_a_measured_run(measured):
    disk = measured.made.disk
    kept = len(list(measured.home.glob("measured/checkpoints/*/model.safetensors")))
    one = value(disk, "checkpoints") / PLANNED_CHECKPOINTS
    assert kept * one == pytest.approx(measured.bytes_of("checkpoints/*/*"), rel=0.25)
    rounds = sum(each.value for each in disk if each.what.startswith("rounds"))
    assert rounds == pytest.approx(measured.bytes_of("rounds/**/*"), rel=0.25)
    columns = ("text", "token_ids", "logprobs")
    tables = [
        pq.read_table(file) for file in measured.home.glob("measured/rounds/*/collect/rollouts.parquet")
    ]
    raw = sum(table[column].nbytes for table in tables for column in columns)
    assert value(disk, "rounds: responses") == pytest.approx(raw, rel=0.25)


def test_memory_is_within_a_quarter_of_a_measured_run(measured):
    memory, checkpoint = measured.made.memory, f"checkpoints/{ROUNDS:05}"
    weights = measured.bytes_of(f"{checkpoint}/model.safetensors")
    assert value(memory, "student weights") == pytest.approx(weights, rel=0.25)
    moments = measured.bytes_of(f"{checkpoint}/optimizer.safetensors")
    assert value(memory, "optimizer (AdamW)") == pytest.approx(moments, rel=0.25)
    directory = measured.home / "measured" / checkpoint
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    batch = measured.config.learner.max_batch_tokens
    assert value(memory, "activations") == pytest.approx(kept_for_backward(model, batch), rel=0.25)


def kept_for_backward(model, tokens):
    """Bytes that the layers of a model keep for the backward pass, its weights left out."""
    kept = {}
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}

    def note(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    ids = torch.full((tokens // 64, 64), 7)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        hidden = model.model(input_ids=ids).last_hidden_state
    assert hidden.requires_grad
    return sum(size for pointer, size in kept.items() if pointer not in weights)
