"""An opened run: its recipe, its store, and its adapters, each built when it is first needed."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property

from pydantic import JsonValue

from schemas.config.learner import LoraConfig, TorchLearnerConfig
from schemas.config.method import OffPolicy, OnPolicy
from schemas.config.models import EngineConfig, ModelConfig
from schemas.config.run import RunConfig, Runtime
from schemas.config.teacher import EndpointTeacher, ModelTeacher
from schemas.manifest import Identity, Manifest, Parent
from schemas.question import Split
from schemas.run import ResolvedModel, RunRecord
from zppo.core.prompts import Templates
from zppo.data.sources import pin_revisions
from zppo.data.table import QuestionTable
from zppo.layout import RunPaths
from zppo.methods.base import TrainingMethod
from zppo.methods.choose import choose_method
from zppo.models.vocabulary import check_same_vocabulary
from zppo.phases import Phases
from zppo.plan.space import check_space
from zppo.progress import Progress, choose_progress
from zppo.rendering import load_templates, templates_digest
from zppo.runs import RUN_FILE, read_run, run_names
from zppo.stages.checkpoints import Checkpoints
from zppo.stages.train import committed_rounds, read_reports
from zppo.stores.identity import identify
from zppo.stores.local import LocalStore
from zppo.stores.locks import exclusive
from zppo.watchdog.guard import Watchdog, tell_of_hang
from zppo.wiring.endpoints import TeacherEndpoint, open_teacher
from zppo.wiring.grader import Grading, check_judge, judge_inputs, open_grading
from zppo.wiring.models import LoadedModel, pin
from zppo.wiring.sync import check_weight_sync


class RunContext:
    """One run, held by this process."""

    def __init__(
        self,
        record: RunRecord,
        manifest: Manifest,
        runtime: Runtime,
        store: LocalStore,
        stack: ExitStack,
        progress: Progress,
    ) -> None:
        self.record = record
        self.config = record.recipe
        self.name = record.name
        self.manifest = manifest
        self.runtime = runtime
        self.store = store
        self.paths = RunPaths(record.name)
        self.progress = progress
        self._stack = stack
        self.phases = Phases()
        """Of the rounds that this process computes."""
        self._done: dict[str, str] = {}

    @cached_property
    def method(self) -> TrainingMethod:
        """The recipe's method."""
        return choose_method(self.config.method)

    @cached_property
    def templates(self) -> Templates:
        """The student's prompt templates."""
        return load_templates(self.config.student.templates)

    @cached_property
    def student(self) -> LoadedModel:
        """The base student; training changes the weights of its module in place."""
        learner = self.config.learner
        lora = learner.lora if isinstance(learner, TorchLearnerConfig) else None
        return self.load(self.config.student, self.record.student, lora=lora)

    @cached_property
    def teacher(self) -> LoadedModel | None:
        """The teacher, where it is a model."""
        if not isinstance(self.config.teacher, ModelTeacher) or self.record.teacher is None:
            return None
        return self.load(self.config.teacher.model, self.record.teacher, self.config.teacher.engine)

    @cached_property
    def teacher_endpoint(self) -> TeacherEndpoint | None:
        """The teacher's client, where it is behind an endpoint; nothing is sent yet."""
        if not isinstance(self.config.teacher, EndpointTeacher):
            return None
        log = self.store.home / self.paths.teacher_spend
        return self._stack.enter_context(open_teacher(self.config.teacher, self.runtime, log))

    @cached_property
    def grading(self) -> Grading:
        """The student's graders; they grade the teacher too."""
        log = self.store.home / self.paths.judge_spend
        return self._stack.enter_context(
            open_grading(self.config, self.runtime, grading_processes(), self.teacher, log, self.phases)
        )

    @cached_property
    def watchdog(self) -> Watchdog:
        """Watches all sampling of the run, the teacher's too."""
        directory, seconds = self.store.home / self.paths.root, self.runtime.generation_timeout_seconds
        return self._stack.enter_context(Watchdog(self.name, directory, seconds))

    @cached_property
    def checkpoints(self) -> Checkpoints:
        """The checkpoints of the run."""
        config = self.config
        return Checkpoints(
            self.store, self.paths, self.manifest, config.checkpoints, config.rounds, self.progress.say,
            self.record.fork.round if self.record.fork else 0,
        )  # fmt: skip

    def count_prompt_tokens(self, question: str) -> int:
        """Tokens of a question's whole plain prompt, chat template and closing instruction included."""
        return len(self.student.tokenizer.encode(self.templates.render_plain(question)))

    def load(
        self,
        config: ModelConfig,
        resolved: ResolvedModel,
        engine: EngineConfig | None = None,
        lora: LoraConfig | None = None,
    ) -> LoadedModel:
        """A model for this run, with the student's sampler unless told otherwise; nothing is loaded yet."""
        model = LoadedModel(
            config, resolved, engine or self.config.engine, self.config, self.runtime, self.watchdog,
            role="teacher" if engine else "student", lora=lora,
        )  # fmt: skip
        self._stack.callback(model.unload)
        return model

    def as_parent(self) -> "RunContext":
        """A fork's own directory, for work under the recipe of the run that it was forked from."""
        assert self.record.fork is not None, "a fork has a parent"
        record = self.record.fork.parent.model_copy(update={"name": self.name})
        return RunContext(record, self.manifest, self.runtime, self.store, self._stack, self.progress)

    def once(self, stage: str, work: Callable[["RunContext"], str]) -> str:
        """The path of a stage's artifact; the stage is asked for it once a process."""
        if stage not in self._done:
            self._done[stage] = work(self)
        return self._done[stage]

    def committed(self, path: str) -> Manifest:
        """The manifest of an artifact that must be there by now."""
        manifest = self.store.read(path)
        assert manifest is not None, f"{path} comes first"
        return manifest

    def committed_rounds(self) -> int:
        """Rounds whose update is committed."""
        return committed_rounds(self.store, self.paths)

    def questions(self, prepared: str, split: Split) -> QuestionTable:
        """The questions of one split of the prepared data."""
        return QuestionTable(self.store.file(prepared, f"{split}.parquet"))


@contextmanager
def open_run(
    config: RunConfig, name: str, runtime: Runtime, progress: Progress | None = None
) -> Iterator[RunContext]:
    """Open a new run, or one that exists, and hold it until the block ends.

    Args:
        config: The recipe.
        name: Of the run.
        runtime: The machine.
        progress: Where the run shows itself; the terminal by default.

    Raises:
        InputError: A model or template set cannot be found, the teacher does not fit the method, or a new run
            does not fit on the disk.
        StoreError: Another process holds the run, or it was made from another recipe; the message lists
            what changed.
    """
    check_judge(config, runtime)
    check_weight_sync(config, runtime)
    store, paths = LocalStore(runtime.home), RunPaths(name)
    with exclusive(store.home / paths.root), ExitStack() as stack:
        record = _record(config, name, runtime)
        identity = run_identity(record)
        manifest = store.find(paths.manifest, identity)
        progress = progress or choose_progress()
        if manifest is None:
            if warning := check_space([config], runtime.home):
                progress.say(warning)
            manifest = begin_run(record, runtime, store)
        run = RunContext(record, manifest, runtime, store, stack, progress)
        tell_of_hang(store.home / paths.root, run.progress.say)
        # A process that was killed between its last commit and the pruning left a checkpoint too many.
        run.checkpoints.prune(read_reports(store, paths))
        yield run


def begin_run(record: RunRecord, runtime: Runtime, store: LocalStore) -> Manifest:
    """Commit what a new run is made from; refused where its teacher does not fit its method."""
    _check_distillation(record, runtime)
    with store.commit(RunPaths(record.name).manifest, run_identity(record)) as staging:
        (staging.directory / RUN_FILE).write_text(record.model_dump_json(indent=1))
    return staging.manifest


def _check_distillation(record: RunRecord, runtime: Runtime) -> None:
    """Refuse a teacher whose logits cannot be compared with the student's."""
    recipe = record.recipe
    if not isinstance(recipe.method, OffPolicy | OnPolicy):
        return
    assert isinstance(recipe.teacher, ModelTeacher), "the recipe's check demands it"
    assert record.teacher is not None, "a teacher model is pinned"
    student = LoadedModel(recipe.student, record.student, recipe.engine, recipe, runtime)
    teacher = LoadedModel(recipe.teacher.model, record.teacher, recipe.teacher.engine, recipe, runtime)
    check_same_vocabulary(student.vocabulary, teacher.vocabulary)


def grading_processes() -> int:
    """Processes for mathematics: all cores but one, which the model keeps; started when needed."""
    return max(1, min(8, (os.cpu_count() or 1) - 1))


def _record(config: RunConfig, name: str, runtime: Runtime) -> RunRecord:
    """What the run is made from: pinned anew for a new run, as it was pinned for an existing one."""
    if name in run_names(runtime.home):
        known = read_run(runtime.home, name)
        if known.recipe == config:
            return known
    return new_record(config, name, runtime)


def new_record(config: RunConfig, name: str, runtime: Runtime) -> RunRecord:
    """What a run is made from when it begins now: its models and data pinned."""
    teacher = config.teacher.model if isinstance(config.teacher, ModelTeacher) else None
    return RunRecord(
        name=name,
        recipe=config,
        student=pin(config.student, config, runtime),
        data=pin_revisions(config.data),
        teacher=pin(teacher, config, runtime) if teacher else None,
    )


def run_identity(record: RunRecord) -> Identity:
    """What makes a run another run: recipe, what that was pinned to, the student's templates, origin."""
    identity = identify(
        "run",
        {
            "name": record.name,
            "recipe": record.recipe,
            "data": record.data,
            "student": record.student.digest,
            "teacher": record.teacher.digest if record.teacher else None,
            "templates": templates_digest(record.recipe.student.templates),
            **judge_inputs(record),
            **_origin(record),
        },
    )
    if record.fork is None:
        return identity
    parents = (("run", record.fork.run_fingerprint), ("update", record.fork.round_fingerprint))
    return identity.model_copy(
        update={"parents": tuple(Parent(stage=stage, fingerprint=each) for stage, each in parents)}
    )


def _origin(record: RunRecord) -> dict[str, JsonValue]:
    """The run and the round that a fork goes on from; nothing for a run with a beginning of its own."""
    return {"fork": {"run": record.fork.parent.name, "round": record.fork.round}} if record.fork else {}
