"""The train stage: rounds of `collect` and `update`, each committed, each resumable.

A committed round holds everything that its update needs, so weights are derived: from the last
checkpoint the committed updates are computed again, nothing is sampled twice.
"""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from pydantic import TypeAdapter

from schemas.config.method import PolicyGradient
from schemas.manifest import Identity, Manifest
from schemas.question import Question
from schemas.report import RoundTimings, StepReport, ValidationReport
from schemas.rollout import Round
from schemas.spend import EndpointSpend
from schemas.state import TrainState
from zppo.beside import Aside, AtOnce
from zppo.core.drift import together
from zppo.core.report import step_report
from zppo.errors import StoreError
from zppo.layout import RunPaths
from zppo.methods import importance, parts
from zppo.methods.base import Collector, TrainingMethod
from zppo.phases import Phases
from zppo.ports import Learner, MiniBatch, PolicyRow, StaleRolloutsError
from zppo.stages.checkpoints import Checkpoints
from zppo.stages.drift import comparison, stale_sampler
from zppo.stages.learning import Learnt, learn
from zppo.stages.timings import with_collecting, write_timings
from zppo.stores.artifacts import parse_artifact, read_artifact, readable
from zppo.stores.clipping import CLIPPED, write_clipped
from zppo.stores.identity import identify
from zppo.stores.local import LocalStore
from zppo.stores.rounds import ROUND, read_round, write_round

REPORT, VALIDATION = "report.json", "validation.json"
REPLAY_TOLERANCE = 1e-2
"""Relative difference of a loss or gradient norm beyond which a replayed update is not the recorded one.
On one machine and thread count it is zero."""


@dataclass(frozen=True)
class Training:
    """What the rounds of a run need."""

    paths: RunPaths
    parents: Sequence[Manifest]
    """What round 1 descends from: the run, its prepared data, its teacher pool."""
    store: LocalStore
    method: TrainingMethod
    rounds: int
    seed: int
    drift_limit: float
    collector: Collector
    learner: Learner
    checkpoints: Checkpoints
    phases: Phases
    importance_cap: float | None
    """Where the sampler's log-probabilities are corrected for."""
    new_questions: Callable[[int], Sequence[Question]]
    """`X_new` of a round."""
    validate: Callable[[], ValidationReport | None]
    """Accuracy of the current weights on the validation split."""
    observe: Callable[[StepReport, RoundTimings], None] = lambda report, timings: None
    """Told of every committed round, once a process; may deal with it beside the next round."""
    writing: Aside = field(default_factory=AtOnce)
    """Commits what grows with tokens or weights beside what reads it: rollouts beside the updates that learn
    from them, a checkpoint beside its validation. A round's report comes after both."""
    settle: Callable[[], None] = lambda: None
    """Returns once the rounds that were told of are dealt with."""
    teacher_spend: Callable[[], EndpointSpend | None] = lambda: None
    """What was spent at the teacher's endpoint since this was asked last; None where it has none."""
    judge_spend: Callable[[], EndpointSpend | None] = lambda: None
    """What the judge used since this was asked last; None without a judge."""


class Trainer:
    """Runs the rounds that are not committed yet."""

    def __init__(self, training: Training) -> None:
        self._its = training
        self._state: TrainState | None = None
        """State that the learner's weights belong to; None while they belong to none."""
        self._round: Round | None = None
        """The round collected last, so that `update` need not read it again."""

    def validate_base(self) -> str:
        """Accuracy of the base student on the validation split; returns its path. A fork has its parent's."""
        its, path = self._its, self._its.paths.base
        if its.checkpoints.first:
            return path
        identity = identify("base", {}, its.parents)
        if its.store.find(path, identity) is None:
            self._be_at(0)
            validation = its.validate()
            with its.store.commit(path, identity) as staging:
                content = validation.model_dump_json() if validation else "null"
                (staging.directory / VALIDATION).write_text(content)
        return path

    def remaining(self) -> range:
        """Rounds whose update is not committed."""
        return range(committed_rounds(self._its.store, self._its.paths) + 1, self._its.rounds + 1)

    def writes_checkpoint(self, index: int) -> bool:
        """Whether a round ends with a checkpoint."""
        return self._its.checkpoints.due(index)

    def collect(self, index: int) -> str:
        """Steps 1 to 5 of a round; returns the path of its rollouts, whose commit may still be under way."""
        its, path = self._its, self._its.paths.collect(index)
        identity = self._collect_identity(index)
        if its.store.find(path, identity) is None:
            state, begun = self._be_at(index - 1), time.monotonic()
            its.phases.take()
            with its.phases.phase("collect"):
                its.judge_spend(), its.teacher_spend()
                collected = its.method.collect(index, its.new_questions(index), state, its.collector)
                spend = {"judge_spend": its.judge_spend(), "teacher_spend": its.teacher_spend()}
                self._round = collected.model_copy(update=spend)
            timings = RoundTimings(round=index, seconds=its.phases.take())
            with its.phases.phase("wait_for_writing"):
                its.writing.do(partial(self._commit_rollouts, identity, begun, self._round, timings))
        return path

    def _commit_rollouts(
        self, identity: Identity, begun: float, collected: Round, timings: RoundTimings
    ) -> None:
        path = self._its.paths.collect(collected.index)
        with self._its.store.commit(path, identity, begun) as staging:
            write_round(staging.directory, collected)
            write_timings(staging.directory, timings)

    def update(self, index: int) -> str:
        """Step 6 of a round; returns the path of its report."""
        its, path = self._its, self._its.paths.update(index)
        identity = self._update_identity(index)
        if its.store.find(path, identity) is not None:
            return path
        state, round_ = self._be_at(index - 1), self._collected(index)
        self._state = None
        try:
            batches, learnt = self._learn_compared(round_)
        except StaleRolloutsError as error:
            collected = its.store.home / its.paths.collect(index)
            raise stale_sampler(error.drift, its.drift_limit, collected) from None
        self._state, events = parts.advance(state, round_, its.method.config)
        validation = self._checkpoint(self._state)
        report = step_report(
            round_,
            its.method.config.tau,
            self._state.buffer,
            events,
            learnt.updates,
            _advantages(batches) if isinstance(its.method.config, PolicyGradient) else None,
            learnt.drift,
            validation,
        )
        with its.phases.phase("wait_for_writing"):
            its.writing.settle()
        with its.phases.phase("wait_for_tracking"):
            its.settle()
        seconds = its.phases.take()
        timings = with_collecting(its.store, its.paths, RoundTimings(round=index, seconds=seconds))
        with its.store.commit(path, identity) as staging:
            (staging.directory / REPORT).write_text(report.model_dump_json(indent=1))
            write_timings(staging.directory, timings)
            if learnt.clipped is not None:
                write_clipped(staging.directory / CLIPPED, learnt.clipped)
        its.checkpoints.prune(self._checkpointed(index) if its.checkpoints.due(index) else ())
        its.observe(report, timings)
        return path

    def rebuild(self, index: int) -> None:
        """Write the checkpoint of a committed round from an earlier one and the rounds in between."""
        self._its.checkpoints.write(self._be_at(index), self._its.learner)

    def _be_at(self, index: int) -> TrainState:
        """Bring weights, optimizer and state to where they were after round `index`."""
        its = self._its
        if self._state is None or self._state.round != index:
            self._state = None
            state = its.checkpoints.restore(index, its.learner)
            while state.round < index:
                state = self._replay(state)
            self._state = state
        return self._state

    def _replay(self, state: TrainState) -> TrainState:
        """Compute a committed update again and hold it against its report."""
        its, index = self._its, state.round + 1
        round_ = self._collected(index)
        learnt = learn(self._batches(round_), its.learner, its.importance_cap)
        recorded = read_report(its.store, its.paths, index).updates
        for again, before in zip(learnt.updates, recorded, strict=True):
            if not math.isclose(again.grad_norm, before.grad_norm, rel_tol=REPLAY_TOLERANCE, abs_tol=1e-6):
                raise StoreError(
                    f"replaying round {index} gave gradient norm {again.grad_norm}, but {before.grad_norm} "
                    "is recorded: this is another machine, thread count or library version than the run "
                    "began on. Resume it there, or start a new run"
                )
        return parts.advance(state, round_, its.method.config)[0]

    def _learn_compared(self, round_: Round) -> tuple[list[MiniBatch], Learnt]:
        """The updates of a round, unless the sampler turns out to hold other weights than the learner."""
        its = self._its
        with its.phases.phase("update"):
            batches = self._batches(round_)
        with its.phases.phase("drift"):
            on_policy = batches if its.importance_cap is None else []
            compared = comparison(round_, on_policy, its.seed, its.drift_limit)
            drift = compared.score_others(its.learner)
        with its.phases.phase("update"):
            learnt = learn(batches, its.learner, its.importance_cap, compared.check)
        return batches, learnt._replace(drift=together([drift, learnt.drift]))

    def _batches(self, round_: Round) -> list[MiniBatch]:
        """The mini-batches of a round, weighed where the sampler is corrected for."""
        its, cap = self._its, self._its.importance_cap
        batches = its.method.batches(round_, its.seed)
        return batches if cap is None else importance.weigh(batches, cap, its.learner)

    def _collected(self, index: int) -> Round:
        if self._round is None or self._round.index != index:
            path = self._its.paths.collect(index)
            stage = self._its.store.verify(path).identity.stage
            with readable(self._its.store.home / path / ROUND, stage, Round):
                self._round = read_round(self._its.store.home / path)
        return self._round

    def _checkpoint(self, state: TrainState) -> ValidationReport | None:
        """Validate and write a checkpoint where one is due."""
        its = self._its
        if not its.checkpoints.due(state.round):
            return None
        with its.phases.phase("checkpoint"):
            its.writing.do(partial(its.checkpoints.write, state, its.learner))
        with its.phases.phase("validation"):
            validation = its.validate()
        with its.phases.phase("checkpoint"):
            its.writing.settle()
        return validation

    def _checkpointed(self, index: int) -> list[StepReport]:
        """The reports of the rounds up to `index` that have a checkpoint."""
        its = self._its
        rounds = [each for each in its.checkpoints.written() if 0 < each <= index]
        return [read_report(its.store, its.paths, each) for each in rounds]

    def _collect_identity(self, index: int) -> Identity:
        before = self._its.parents if index == 1 else [self._existing(self._its.paths.update(index - 1))]
        return identify("collect", {"round": index}, before)

    def _update_identity(self, index: int) -> Identity:
        return identify("update", {"round": index}, [self._collect_identity(index)])

    def _existing(self, path: str) -> Manifest:
        manifest = self._its.store.read(path)
        assert manifest is not None, f"{path} comes first"
        return manifest


def committed_rounds(store: LocalStore, paths: RunPaths) -> int:
    """Rounds whose update is committed; they are the first ones, without a gap."""
    count = 0
    while store.read(paths.update(count + 1)) is not None:
        count += 1
    return count


def read_report(store: LocalStore, paths: RunPaths, index: int) -> StepReport:
    """The step report of a committed round."""
    return read_artifact(store, paths.update(index), REPORT, StepReport)


def read_reports(store: LocalStore, paths: RunPaths, last: int | None = None) -> list[StepReport]:
    """The step reports of the `last` committed rounds, by default of all, in order."""
    done = committed_rounds(store, paths)
    first = 1 if last is None else max(1, done - last + 1)
    return [read_report(store, paths, index) for index in range(first, done + 1)]


def read_base(store: LocalStore, paths: RunPaths) -> ValidationReport | None:
    """Validation of the base student; None without a validation split, or before training."""
    if store.read(paths.base) is None:
        return None
    adapter = TypeAdapter(ValidationReport | None)
    return parse_artifact(store, paths.base, VALIDATION, ValidationReport, adapter.validate_json)


def _advantages(batches: Iterable[MiniBatch]) -> list[float]:
    return [row.advantage for batch in batches for row in batch.rows if isinstance(row, PolicyRow)]
