"""The plan's tokens, disk and memory against a run of three pocket rounds, with its mean lengths given."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM

from schemas.report import StepReport
from schemas.teacher import TeacherPool
from tests.pipelines import run_without_prefect
from zppo.plan import Plan, find_shape, make_plan
from zppo.plan.lengths import Expected
from zppo.recipes import load_recipe

POCKET = Path(__file__).parents[2] / "zppo" / "pocket" / "student"
ROUNDS = 3
SMALL = (
    f"rounds={ROUNDS}",
    "questions_per_round=16",
    "data.sources.0.count=160",
    "data.sources.1.count=10",
    "data.validation_questions=20",
    "data.test_questions=20",
    "teacher.visits=2",
    "checkpoints={every: 1, keep_last: 1, keep_best: 1}",
    "evaluation.samples=1",
    "evaluation.bootstrap_resamples=100",
)
PLANNED_CHECKPOINTS = 3
"""The last, the best, and the promoted one."""


def value(estimates, what):
    return next(estimate.value for estimate in estimates if estimate.what == what)


@dataclass(frozen=True)
class Measured:
    """A run of three rounds, and the plan made with its mean lengths."""

    home: Path
    made: Plan
    reports: tuple[StepReport, ...]

    @property
    def kinds(self):
        return [kind for report in self.reports for kind in report.kinds]

    def bytes_of(self, pattern):
        return sum(file.stat().st_size for file in self.home.glob(pattern) if file.is_file())


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    home = tmp_path_factory.mktemp("measured")
    config = load_recipe("pocket", SMALL)
    run_without_prefect(config, home, "measured")
    files = sorted(home.glob("measured/rounds/*/update/report.json"))
    reports = tuple(StepReport.model_validate_json(file.read_bytes()) for file in files)
    kinds = [kind for report in reports for kind in report.kinds]
    plain = [kind for kind in kinds if kind.kind == "plain"]
    expected = Expected(
        prompt=sum(kind.prompt_tokens for kind in plain) / sum(kind.groups for kind in plain),
        response=sum(kind.response_tokens for kind in kinds) / sum(kind.rollouts for kind in kinds),
    )
    made = make_plan(config, find_shape(config.student), find_shape(config.teacher.model), expected=expected)
    return Measured(home, made, reports)


def test_tokens_are_within_a_quarter_of_a_measured_run(measured):
    assert len(measured.reports) == ROUNDS
    prompts = sum(kind.prompt_tokens for kind in measured.kinds)
    responses = sum(kind.response_tokens for kind in measured.kinds)
    tokens = measured.made.round_tokens
    planned = [
        sum(each.value for each in tokens if each.what.endswith(end)) for end in ("prompts", "responses")
    ]
    assert ROUNDS * planned[0] == pytest.approx(prompts, rel=0.25)
    assert ROUNDS * planned[1] == pytest.approx(responses, rel=0.25)


def test_the_pools_tokens_are_within_a_quarter_of_a_measured_run(measured):
    (file,) = measured.home.glob("store/precompute/*/report.json")
    pool = TeacherPool.model_validate_json(file.read_bytes())
    assert value(measured.made.teacher_tokens, "pool: responses") == pytest.approx(pool.tokens, rel=0.25)


def test_disk_is_within_a_quarter_of_a_measured_run(measured):
    disk, base = measured.made.disk, "measured"
    kept = len(list(measured.home.glob(f"{base}/checkpoints/*/model.safetensors")))
    one = value(disk, "checkpoints") / PLANNED_CHECKPOINTS
    assert kept * one == pytest.approx(measured.bytes_of(f"{base}/checkpoints/*/*"), rel=0.25)
    rounds = sum(each.value for each in disk if each.what.startswith("rounds"))
    assert rounds == pytest.approx(measured.bytes_of(f"{base}/rounds/**/*"), rel=0.25)
    columns = ("text", "token_ids", "logprobs")
    tables = [pq.read_table(file) for file in measured.home.glob(f"{base}/rounds/*/collect/rollouts.parquet")]
    raw = sum(table[column].nbytes for table in tables for column in columns)
    assert value(disk, "rounds: responses") == pytest.approx(raw, rel=0.25)


def test_memory_is_within_a_quarter_of_a_measured_run(measured):
    memory, checkpoint = measured.made.memory, f"measured/checkpoints/{ROUNDS:05}"
    weights = measured.bytes_of(f"{checkpoint}/model.safetensors")
    assert value(memory, "student weights") == pytest.approx(weights, rel=0.25)
    moments = measured.bytes_of(f"{checkpoint}/optimizer.safetensors")
    assert value(memory, "optimizer (AdamW)") == pytest.approx(moments, rel=0.25)
    model = AutoModelForCausalLM.from_pretrained(POCKET, dtype=torch.float32)
    batch = load_recipe("pocket").learner.max_batch_tokens
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
