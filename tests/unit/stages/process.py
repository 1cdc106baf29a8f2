"""A process that trains over the real store, with scripted ports."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from schemas.config.evaluation import CheckpointConfig
from schemas.config.method import GrpoReplay, MethodConfig
from schemas.config.models import SamplingConfig
from schemas.manifest import Manifest
from schemas.question import Question
from schemas.report import RoundTimings, StepReport, ValidationReport
from tests.build import question
from tests.fakes.compressor import FirstWords
from tests.fakes.engine import EOS, ScriptedEngine
from tests.fakes.grader import TextGrader
from tests.fakes.learner import UnigramLearner
from tests.fakes.teacher import ScriptedTeacher
from zppo.beside import Aside, AtOnce
from zppo.layout import RunPaths
from zppo.methods.base import Collector
from zppo.methods.choose import choose_method
from zppo.phases import Phases
from zppo.rendering import load_templates
from zppo.stages.checkpoints import Checkpoints
from zppo.stages.train import (
    Trainer,
    Training,
    committed_rounds,
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
    importance_cap: float | None = None
    keep_last: int = 2
    validated: bool = True
    config: MethodConfig = METHOD
    writing: Aside = field(default_factory=AtOnce)
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
            rounds=ROUNDS,
            seed=3,
            drift_limit=self.drift_limit,
            collector=self._collector(),
            learner=self.learner,
            checkpoints=Checkpoints(self.store, self.paths, run, config, ROUNDS),
            phases=phases,
            importance_cap=self.importance_cap,
            new_questions=self._new_questions,
            validate=self._validate,
            observe=self._observe,
            writing=self.writing,
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
