"""Rounds over the real store, with scripted ports: what is committed, what is repeated, what is refused."""

import shutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

import pytest

from schemas.config.evaluation import CheckpointConfig
from schemas.config.method import GrpoReplay, MethodConfig
from schemas.config.models import SamplingConfig
from schemas.manifest import Manifest
from schemas.question import Question
from schemas.report import RoundTimings, StepReport, ValidationReport
from schemas.state import TrainState
from tests.build import question
from tests.fakes.compressor import FirstWords
from tests.fakes.engine import EOS, ScriptedEngine
from tests.fakes.grader import TextGrader
from tests.fakes.learner import UnigramLearner
from tests.fakes.teacher import ScriptedTeacher
from tests.reference.product import CONFIGS
from zppo.errors import EngineError, StoreError
from zppo.layout import RunPaths
from zppo.methods.base import Collector
from zppo.methods.choose import choose_method
from zppo.phases import Phases
from zppo.ports import MiniBatch, UpdateStatistics
from zppo.rendering import load_templates
from zppo.stages.checkpoints import STATE, Checkpoints
from zppo.stages.train import (
    Trainer,
    Training,
    committed_rounds,
    read_base,
    read_report,
    read_reports,
    read_timings,
)
from zppo.stores.identity import identify
from zppo.stores.local import LocalStore

ROUNDS = 7
QUESTIONS = {f"q{i}": question(f"q{i}", answer="7") for i in range(12)}
METHOD = GrpoReplay(group_size=4, iterations=2, replay_fraction=0.5, buffer_capacity=3)
WORDS = ["yes", "no", "so", "then", "7", r"\boxed{7}", r"\boxed{8}"]
VALIDATION = {0: 0.1, 2: 0.2, 4: 0.6, 6: 0.3, 7: 0.4}
"""Accuracy after each round that has a checkpoint."""


def answer(group_id: str, index: int) -> str:
    """A response that the names decide alone; its words are known to the engine beforehand."""
    random = Random(f"{group_id} {index}")
    return " ".join([*random.choices(WORDS[:5], k=3), random.choice(WORDS[5:])])


def scripted_engine() -> ScriptedEngine:
    engine = ScriptedEngine(answer)
    engine.encode(" ".join(WORDS))
    return engine


def scripted_teacher(engine: ScriptedEngine) -> ScriptedTeacher:
    return ScriptedTeacher(
        lambda name, index: r"so then no 7 \boxed{7}",
        hint=lambda name, index: "so then",
        tokens=lambda text: (*engine.tokenize(text), EOS),
    )


def run_manifest(store: LocalStore) -> Manifest:
    """The artifact that every round descends from."""
    identity, path = identify("run", {"name": "a"}), RunPaths("a").manifest
    found = store.find(path, identity)
    if found is None:
        with store.commit(path, identity) as staging:
            (staging.directory / "run.json").write_text("{}")
        found = staging.manifest
    return found


@dataclass
class Process:
    """A process that trains: everything in it is new but the store."""

    home: Path
    drift_limit: float = 100.0
    keep_last: int = 2
    validated: bool = True
    config: MethodConfig = METHOD
    store: LocalStore = field(init=False)
    engine: ScriptedEngine = field(init=False)
    learner: UnigramLearner = field(init=False)
    observed: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = LocalStore(self.home)
        self.engine = scripted_engine()
        self.learner = UnigramLearner(2000)
        self.training = self._training()
        self.trainer = Trainer(self.training)

    @property
    def paths(self) -> RunPaths:
        return RunPaths("a")

    @property
    def rounds(self) -> list[int]:
        """Rounds that were sampled in this process."""
        return sorted({int(each.id.split("/")[0][1:]) for each in self.engine.requests})

    def go(self, until: Callable[[str], bool] = lambda path: False) -> "Process":
        """Train until a path is committed, or to the end."""
        for work in (self.trainer.validate_base, *self._rounds()):
            if until(work()):
                break
        return self

    def _rounds(self) -> list[Callable[[], str]]:
        return [
            lambda stage=stage, index=index: stage(index)  # type: ignore[misc]
            for index in self.trainer.remaining()
            for stage in (self.trainer.collect, self.trainer.update)
        ]

    def _training(self) -> Training:
        phases, run = Phases(), run_manifest(self.store)
        config = CheckpointConfig(every=2, keep_last=self.keep_last)
        return Training(
            paths=self.paths,
            parents=[run],
            store=self.store,
            method=choose_method(self.config),
            settings=self.config,
            rounds=ROUNDS,
            seed=3,
            drift_limit=self.drift_limit,
            collector=self._collector(),
            learner=self.learner,
            checkpoints=Checkpoints(self.store, self.paths, run, config, ROUNDS),
            phases=phases,
            new_questions=self._new_questions,
            validate=self._validate,
            observe=self._observe,
        )

    def _collector(self) -> Collector:
        compressor = FirstWords("extractive")
        return Collector(
            engine=self.engine,
            grader=TextGrader(),
            teacher=scripted_teacher(self.engine),
            compressor=compressor,
            extractive=compressor,
            templates=load_templates("general"),
            special_tokens=(),
            sampling=SamplingConfig(max_response_tokens=8),
            seed=3,
            question=QUESTIONS.__getitem__,
            phase=lambda name: nullcontext(),
        )

    def _new_questions(self, index: int) -> list[Question]:
        names = list(QUESTIONS)
        return [QUESTIONS[names[(4 * index + place) % len(names)]] for place in range(4)]

    def _validate(self) -> ValidationReport | None:
        done = committed_rounds(self.store, self.paths)
        after = done if self.store.read(self.paths.base) is None else done + 1
        return ValidationReport(questions=10, accuracy=VALIDATION[after]) if self.validated else None

    def _observe(self, report: StepReport, timings: RoundTimings) -> None:
        assert report.round == timings.round
        self.observed.append(report.round)


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
    assert any(update.grad_norm > 0 for report in reports for update in report.updates)
    assert any(report.replayed_questions for report in reports)
    assert {"collect", "update", "drift"} <= read_timings(whole.store, whole.paths, 3).seconds.keys()


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

    def elsewhere(learner: UnigramLearner, batch: MiniBatch) -> UpdateStatistics:
        statistics = update(learner, batch)
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


def test_a_sampler_that_drifts_from_the_learner_stops_the_round_before_its_commit(tmp_path: Path) -> None:
    process = Process(tmp_path, drift_limit=1e-3)
    with pytest.raises(EngineError, match=r"in round 1 .* over \d+ tokens; the limit is 0.001") as caught:
        process.go()
    assert str(tmp_path / process.paths.collect(1)) in str(caught.value)
    assert process.store.read(process.paths.collect(1)) is not None
    assert process.store.read(process.paths.update(1)) is None


def test_rounds_of_another_run_are_not_gone_on_with(tmp_path: Path) -> None:
    process = Process(tmp_path).go(lambda path: path == RunPaths("a").update(1))
    with process.store.commit("b/run", identify("run", {"name": "b"})) as staging:
        (staging.directory / "run.json").write_text("{}")
    stranger = Trainer(replace(process.training, parents=[staging.manifest]))
    with pytest.raises(StoreError, match=r"parents\.0\.run"):
        stranger.validate_base()
