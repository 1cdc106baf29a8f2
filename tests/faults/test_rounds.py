"""Rounds that must not be committed, and one that must."""

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from schemas.config.models import DecodingConfig
from schemas.config.run import RunConfig
from tests.pipelines import NAME, differences, recipe, results, run_without_prefect
from zppo.engines.transformers import TransformersEngine
from zppo.errors import EngineError
from zppo.layout import RunPaths
from zppo.learners.torch import TorchLearner
from zppo.pocket.task import make_questions
from zppo.ports import (
    DriftCheck,
    Finished,
    Generation,
    GenerationFailure,
    GenerationRequest,
    MiniBatch,
    UpdateStatistics,
)
from zppo.stages.train import read_report
from zppo.stores.local import LocalStore
from zppo.stores.rounds import read_round

PATHS = RunPaths(NAME)
Group = tuple[Generation | GenerationFailure, ...]


@pytest.fixture
def home(tmp_path: Path, mlflow_database: Path) -> Path:
    (tmp_path / "mlflow.db").write_bytes(mlflow_database.read_bytes())
    return tmp_path


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    return recipe(tmp_path, "rounds=3")


def test_nan_in_the_weights_stops_the_round_and_names_its_rollouts(
    home: Path, config: RunConfig, tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path
) -> None:
    update, calls = TorchLearner.update, []

    def poisoned(
        learner: TorchLearner, batch: MiniBatch, check: DriftCheck | None = None
    ) -> UpdateStatistics:
        calls.append(batch)
        if len(calls) == 4:  # the second one of round 2
            with torch.no_grad():
                next(iter(learner._parameters.values()))[:] = float("nan")
        return update(learner, batch, check)

    store = LocalStore(home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TorchLearner, "update", poisoned)
        with pytest.raises(EngineError, match=r"is nan in the micro-batch of rollouts r2/.*not committed"):
            run_without_prefect(config, home)
    assert store.read(PATHS.collect(2)) is not None
    assert store.read(PATHS.update(2)) is None

    run_without_prefect(config, home)
    elsewhere = tmp_path_factory.mktemp("undisturbed")
    (elsewhere / "mlflow.db").write_bytes(mlflow_database.read_bytes())
    run_without_prefect(config, elsewhere)
    assert differences(results(home), results(elsewhere)) == []


def test_a_sampler_on_stale_weights_stops_the_round_and_says_what_to_do(
    home: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = TransformersEngine.__init__

    def stale(engine: TransformersEngine, model: Any, *rest: Any) -> None:
        make(engine, copy.deepcopy(model), *rest)

    with monkeypatch.context() as patch:
        patch.setattr(TransformersEngine, "__init__", stale)
        with pytest.raises(EngineError, match="does not hold the current weights: in round 2") as caught:
            run_without_prefect(config, home)
    store, collected = LocalStore(home), PATHS.collect(2)
    assert f"remove {home / collected}" in str(caught.value)
    assert store.read(PATHS.update(2)) is None
    store.remove(collected)
    run_without_prefect(config, home)
    assert store.read(PATHS.update(3)) is not None


def test_a_grading_time_out_is_committed_as_a_failure_of_that_rollout(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {"question": each.text, "answer": each.answer} for each in make_questions(40, lengths=[3], seed=0)
    ]
    data = home / "chains.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)))
    source = {"name": "chains", "type": "files", "paths": [str(data)], "answer_kind": "math"}
    config = recipe(home, "rounds=1", f"data.sources={json.dumps([source])}", "grader.timeout_seconds=0.5")
    generate = TransformersEngine.generate

    def endless(
        engine: TransformersEngine,
        requests: Sequence[GenerationRequest],
        decoding: DecodingConfig,
        finished: Finished | None = None,
    ) -> list[tuple[Generation | GenerationFailure, ...]]:
        plain = requests[0].id.startswith("r1/") and requests[0].id.endswith("/plain")

        def replaced(place: int, group: Group) -> Group:
            if not plain or place:
                return group
            first, *others = group
            assert isinstance(first, Generation)
            text = r"\boxed{9^{9^{9^{9}}}}"
            return (Generation(text, first.token_ids, first.logprobs, first.stop), *others)

        def told(place: int, group: Group) -> None:
            if finished is not None:
                finished(place, replaced(place, group))

        drawn = generate(engine, requests, decoding, told)
        return [replaced(place, group) for place, group in enumerate(drawn)]

    monkeypatch.setattr(TransformersEngine, "generate", endless)
    run_without_prefect(config, home)
    store = LocalStore(home)
    group = read_round(home / PATHS.collect(1)).groups[0]
    (failure,) = group.failures
    assert (failure.index, failure.outcome) == (0, "grader_error")
    assert [rollout.index for rollout in group.rollouts] == [1, 2, 3]
    plain = read_report(store, PATHS, 1).of_kind("plain")
    assert plain is not None
    assert plain.grader_errors == 1
