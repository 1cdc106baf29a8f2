"""Rounds over the real store, with scripted ports: what is committed, what is repeated, what is refused."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from schemas.config.method import PolicyGradient
from schemas.state import TrainState
from tests.fakes.learner import UnigramLearner
from tests.reference.product import CONFIGS
from tests.unit.stages.process import ROUNDS, Process
from zppo.errors import EngineError, StoreError
from zppo.layout import RunPaths
from zppo.ports import DriftCheck, MiniBatch, UpdateStatistics
from zppo.stages.checkpoints import STATE
from zppo.stages.timings import read_timings
from zppo.stages.train import (
    Trainer,
    read_base,
    read_report,
    read_reports,
)
from zppo.stores.clipping import CLIPPED, read_clipped
from zppo.stores.identity import identify


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Process:
    """A run from its beginning to its end in one process."""
    return Process(tmp_path_factory.mktemp("whole")).go()


def content(process: Process) -> dict[str, bytes]:
    """Every file of a run but circumstances."""
    root = process.home / process.paths.root
    return {
        str(file.relative_to(root)): file.read_bytes()
        for file in root.rglob("*.*")
        if file.name not in ("manifest.json", "timings.json")
    }


def test_every_round_is_committed_and_observed_once(whole: Process) -> None:
    assert whole.observed == whole.rounds == list(range(1, ROUNDS + 1))
    reports = read_reports(whole.store, whole.paths)
    assert [report.round for report in reports] == whole.observed
    assert read_reports(whole.store, whole.paths, last=2) == reports[-2:]
    assert read_reports(whole.store, whole.paths, last=ROUNDS + 1) == reports
    assert any(update.grad_norm > 0 for report in reports for update in report.updates)
    assert any(report.replayed_questions for report in reports)
    assert {"collect", "update", "drift"} <= read_timings(whole.store, whole.paths, 3).seconds.keys()
    assert read_clipped(whole.store.file(whole.paths.update(3), CLIPPED), ["r3/q1/plain#0"]) == {}


def test_importance_weights_are_recorded_and_the_same_after_a_stop(tmp_path: Path) -> None:
    one, two = (Process(tmp_path / name, importance_cap=1.5) for name in ("whole", "stopped"))
    one.go()
    two.go(lambda path: path == two.paths.collect(4))
    again = Process(two.home, importance_cap=1.5).go()
    assert content(again) == content(one)
    updates = [update for report in read_reports(one.store, one.paths) for update in report.updates]
    assert any(update.importance_weight for update in updates)
    assert all((update.importance_weight is None) == (update.active_tokens == 0) for update in updates)


def test_a_finished_run_samples_nothing_and_observes_nothing(whole: Process) -> None:
    again = Process(whole.home)
    assert list(again.trainer.remaining()) == []
    again.go()
    assert (again.rounds, again.observed) == ([], [])


@pytest.mark.parametrize("stage", ["collect", "update"])
@pytest.mark.parametrize("index", range(1, ROUNDS + 1))
def test_a_run_that_stops_after_any_commit_ends_as_one_that_does_not(
    whole: Process, tmp_path: Path, stage: str, index: int
) -> None:
    home = tmp_path / "stopped"
    first = Process(home).go(lambda path: path == getattr(whole.paths, stage)(index))
    second = Process(home).go()
    assert first.rounds + second.rounds == whole.rounds
    assert first.observed + second.observed == whole.observed
    assert content(second) == content(whole)
    assert second.learner.logits == whole.learner.logits or not second.observed


@pytest.mark.parametrize(
    "name",
    [
        "zppo",
        "hint",
        "prefix",
        "off_policy_distillation_replay",
        "on_policy_distillation",
        "control_wrong_pair",
        "control_extra_plain",
        "control_no_gradient",
    ],
)
def test_a_run_of_any_method_that_stops_in_a_round_ends_as_one_that_does_not(
    tmp_path: Path, name: str
) -> None:
    sizes = {"group_size": 4, "iterations": 2, "replay_fraction": 0.5, "augment_fraction": 0.5}
    known = CONFIGS[name].model_fields.keys()
    config = CONFIGS[name](**{key: value for key, value in sizes.items() if key in known})
    whole = Process(tmp_path / "whole", config=config).go()
    stopped = RunPaths("a")
    Process(tmp_path / "stopped", config=config).go(lambda path: path == stopped.update(3))
    Process(tmp_path / "stopped", config=config).go(lambda path: path == stopped.collect(5))
    last = Process(tmp_path / "stopped", config=config).go()
    assert content(last) == content(whole)
    assert last.learner.logits == whole.learner.logits
    reports = read_reports(whole.store, whole.paths)
    assert any(update.grad_norm > 0 for report in reports for update in report.updates)
    distils = "distillation" in name
    assert {report.positive_advantage_rollouts is None for report in reports} == {distils}
    assert {len(report.updates) <= 1 for report in reports} >= {distils}


def test_checkpoints_are_written_every_few_rounds_and_the_best_and_the_last_stay(whole: Process) -> None:
    assert [path.rsplit("/", 1)[1] for path in whole.store.committed(whole.paths.checkpoints)] == [
        "00004",
        "00006",
        "00007",
    ]
    with_validation = [r.round for r in read_reports(whole.store, whole.paths) if r.validation is not None]
    assert with_validation == [2, 4, 6, 7]


def test_a_checkpoint_holds_the_state_after_its_round(whole: Process) -> None:
    file = whole.store.file(whole.paths.checkpoint(7), STATE)
    state = TrainState.model_validate_json(file.read_bytes())
    assert state.round == 7
    assert len(state.buffer.entries) == read_report(whole.store, whole.paths, 7).buffer.size > 0


def test_without_validation_the_last_checkpoints_stay(tmp_path: Path) -> None:
    done = Process(tmp_path, keep_last=1, validated=False).go()
    assert [path[-5:] for path in done.store.committed(done.paths.checkpoints)] == ["00007"]
    assert read_base(done.store, done.paths) is None


def test_a_removed_checkpoint_is_computed_again_from_the_committed_rounds(
    whole: Process, tmp_path: Path
) -> None:
    home = tmp_path / "stopped"
    first = Process(home).go(lambda path: path == whole.paths.update(5))
    shutil.rmtree(home / first.paths.checkpoints)
    second = Process(home).go()
    assert second.rounds == [6, 7]
    assert second.learner.logits == whole.learner.logits


def test_replaying_an_update_that_comes_out_differently_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Process(tmp_path).go(lambda path: path == RunPaths("a").update(3))
    update = UnigramLearner.update

    def elsewhere(learner: UnigramLearner, batch: MiniBatch, check: DriftCheck | None) -> UpdateStatistics:
        statistics = update(learner, batch, check)
        return replace(statistics, grad_norm=1.1 * statistics.grad_norm)

    monkeypatch.setattr(UnigramLearner, "update", elsewhere)
    with pytest.raises(StoreError, match=r"replaying round 3 gave gradient norm"):
        Process(tmp_path).go()


def test_a_damaged_rollout_file_is_found_when_it_is_needed_and_named(tmp_path: Path) -> None:
    process = Process(tmp_path).go(lambda path: path == RunPaths("a").collect(3))
    file = tmp_path / process.paths.collect(3) / "rollouts.parquet"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(StoreError, match=r"00003/collect/rollouts.parquet is damaged"):
        Process(tmp_path).go()


@pytest.mark.parametrize("cap", [None, 1.5])
@pytest.mark.parametrize("method", CONFIGS)
def test_a_sampler_that_drifts_from_the_learner_stops_the_round_before_any_weight_changes(
    tmp_path: Path, method: str, cap: float | None
) -> None:
    config = CONFIGS[method](group_size=4)
    cap = cap if isinstance(config, PolicyGradient) else None
    process = Process(tmp_path, drift_limit=1e-3, config=config, importance_cap=cap)
    before = list(process.learner.logits)
    with pytest.raises(EngineError, match=r"in round 1 .* over \d+ tokens; the limit is 0.001") as caught:
        process.go()
    assert str(tmp_path / process.paths.collect(1)) in str(caught.value)
    assert process.store.read(process.paths.collect(1)) is not None
    assert process.store.read(process.paths.update(1)) is None
    assert process.learner.logits == before


def test_rounds_of_another_run_are_not_gone_on_with(tmp_path: Path) -> None:
    process = Process(tmp_path).go(lambda path: path == RunPaths("a").update(1))
    with process.store.commit("b/run", identify("run", {"name": "b"})) as staging:
        (staging.directory / "run.json").write_text("{}")
    stranger = Trainer(replace(process.training, parents=[staging.manifest]))
    with pytest.raises(StoreError, match=r"parents\.0\.run"):
        stranger.validate_base()
