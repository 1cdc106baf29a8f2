"""A whole pipeline on a managed server: weights go to it every round, and stale ones stop the run."""

import json

import pytest

from schemas.config.run import Runtime
from tests.pipelines import NAME, recipe, run_without_prefect
from tests.vllm_servers import machine, processes
from zppo.engines.vllm.weights import Weights
from zppo.errors import EngineError
from zppo.layout import RunPaths
from zppo.stages.train import read_reports
from zppo.stores.local import LocalStore

pytestmark = pytest.mark.vllm
ROUNDS = 3
LORA = "learner.lora.rank=8"


def patient(directory, **servers: str) -> Runtime:
    """Where no server hangs, a busy machine must not make one look as if."""
    return machine(directory / "home", silence_seconds=300.0, **servers)


def vllm_recipe(directory, *settings: str, rate=3e-3):
    return recipe(
        directory, f"rounds={ROUNDS}", "engine={type: vllm}", f"learner.learning_rate={rate}",
        "learner.warmup_updates=0", "checkpoints.every=2", *settings,
    )  # fmt: skip


@pytest.mark.parametrize(("weight_sync", "settings"), [("disk", []), ("disk", [LORA]), ("adapter", [LORA])])
def test_a_pipeline_on_vllm_trains_on_current_weights_and_leaves_no_server(tmp_path, weight_sync, settings):
    config, runtime = vllm_recipe(tmp_path, *settings), patient(tmp_path, weight_sync=weight_sync)
    run_without_prefect(config, tmp_path / "home", machine=runtime)
    reports = read_reports(LocalStore(tmp_path / "home"), RunPaths(NAME))
    drifts = [report.drift for report in reports]
    print("drift", json.dumps([drift and drift.model_dump() for drift in drifts]))
    assert len(drifts) == ROUNDS
    assert all(drift is not None and drift.max < 1e-4 for drift in drifts)
    assert all(any(update.active_tokens for update in report.updates) for report in reports)
    assert not processes("api_server")
    assert not [each for each in (tmp_path / "home" / "tmp").iterdir() if each.is_dir()]


def test_stale_weights_stop_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(Weights, "look", lambda self: None)
    with pytest.raises(EngineError, match="the sampler does not hold the current weights: in round 2"):
        run_without_prefect(vllm_recipe(tmp_path), tmp_path / "home", machine=patient(tmp_path))
    assert not processes("api_server")
