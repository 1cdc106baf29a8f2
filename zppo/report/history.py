"""A run as its report sees it: read from the store, while it runs or afterwards, and never changed."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

from schemas.clipping import ClippedTokens
from schemas.evaluation import Evaluation
from schemas.manifest import Manifest
from schemas.promotion import PromotionDecision
from schemas.question import Question
from schemas.report import RoundTimings, StepReport, ValidationReport
from schemas.rollout import AvailableResponse, Group, Round
from schemas.run import RunRecord
from schemas.spend import Spend
from schemas.teacher import TeacherPool
from zppo.data.table import QuestionTable
from zppo.endpoints.spending import SpendLog
from zppo.layout import RunPaths, shared
from zppo.report.lives import Lives
from zppo.report.outline import read_groups, read_outline, read_weightless
from zppo.runs import DECISION, EVALUATION, read_run
from zppo.stages.precompute import REPORT as POOL_REPORT
from zppo.stages.timings import read_timings
from zppo.stages.train import committed_rounds, read_base, read_report
from zppo.stores.artifacts import read_artifact
from zppo.stores.clipping import CLIPPED, read_clipped
from zppo.stores.local import LocalStore
from zppo.stores.locks import holder
from zppo.stores.rounds import AVAILABLE, DEMONSTRATIONS, read_available, read_demonstrated
from zppo.teachers.pool import RESPONSES, PoolTable


@dataclass(frozen=True)
class Heading:
    """Enough of a question to find it."""

    id: str
    source: str
    excerpt: str
    """The beginning of its text on one line."""

    LENGTH: ClassVar[int] = 400

    @classmethod
    def of(cls, question: Question) -> Self:
        """The heading of a question."""
        return cls(
            question.id, question.source, " ".join(question.text[: 2 * cls.LENGTH].split())[: cls.LENGTH]
        )


class RunHistory:
    """What a run has committed; `refresh` takes in what came since."""

    def __init__(self, home: Path, name: str) -> None:
        """Open a run for reading.

        Raises:
            InputError: There is no run of that name.
            StoreError: An artifact is damaged.
        """
        self.record: RunRecord = read_run(home, name)
        self.store = LocalStore(home)
        self.paths = RunPaths(name)
        self.reports: list[StepReport] = []
        self.timings: list[RoundTimings] = []
        self.lives = Lives()
        self.refresh()

    @property
    def name(self) -> str:
        """The run's name."""
        return self.record.name

    @property
    def running(self) -> bool:
        """Whether a process holds the run."""
        return holder(self.store.home / self.paths.root) is not None

    def refresh(self) -> None:
        """Read the rounds committed since; one round is in memory at a time, without its responses."""
        for index in range(len(self.reports) + 1, committed_rounds(self.store, self.paths) + 1):
            report = read_report(self.store, self.paths, index)
            self.lives.add(read_outline(self.store, self.paths, index), report)
            self.reports.append(report)
            self.timings.append(read_timings(self.store, self.paths, index))

    def weightless_round(self, index: int) -> Round:
        """A committed round with the rewards of its rollouts, without their texts and tokens."""
        return read_weightless(self.store, self.paths, index)

    def groups(self, index: int, questions: Collection[str]) -> list[Group]:
        """Everything that a committed round sampled for some questions."""
        return read_groups(self.store, self.paths, index, questions)

    def clipped(
        self, index: int, rollouts: Collection[str]
    ) -> Mapping[str, tuple[ClippedTokens, ...]] | None:
        """Which tokens of some rollouts a round's updates clipped; None where that is not recorded."""
        path = self.paths.update(index)
        if not self._has(path, CLIPPED):
            return None
        return read_clipped(self.store.file(path, CLIPPED), rollouts)

    def available(
        self, index: int, questions: Collection[str]
    ) -> Mapping[str, tuple[AvailableResponse, ...]]:
        """What the teacher gave for some questions in a round, as far as that is recorded."""
        path = self.paths.collect(index)
        if not self._has(path, AVAILABLE):
            return {}
        return read_available(self.store.file(path, AVAILABLE), questions)

    def demonstrated(self, index: int, groups: Collection[str]) -> Collection[str]:
        """The teacher responses to some groups that a round's update learned from, by their origins."""
        path = self.paths.collect(index)
        if not self._has(path, DEMONSTRATIONS):
            return ()
        return read_demonstrated(self.store.file(path, DEMONSTRATIONS), groups)

    @property
    def base(self) -> ValidationReport | None:
        """Validation of the base student."""
        return read_base(self.store, self.paths)

    @property
    def evaluation(self) -> Evaluation | None:
        """Of the held-out questions; None before it."""
        if self.store.read(self.paths.evaluation) is None:
            return None
        return read_artifact(self.store, self.paths.evaluation, EVALUATION, Evaluation)

    @property
    def decision(self) -> PromotionDecision | None:
        """About the champion; None before it."""
        if self.store.read(self.paths.promotion) is None:
            return None
        return read_artifact(self.store, self.paths.promotion, DECISION, PromotionDecision)

    def manifest(self, path: str) -> Manifest | None:
        """Of an artifact, None where it is not there yet."""
        return self.store.read(path)

    @cached_property
    def questions(self) -> QuestionTable | None:
        """The training questions; None before the first round."""
        path = self._parent("prepare")
        return QuestionTable(self.store.file(path, "train.parquet")) if path else None

    @cached_property
    def headings(self) -> tuple[Heading, ...]:
        """The training questions, their texts cut short; none before the first round."""
        table = self.questions
        return tuple(Heading.of(question) for question in table.at(range(len(table)))) if table else ()

    @cached_property
    def pool(self) -> PoolTable | None:
        """The teacher's responses drawn ahead; None without any, or before the first round."""
        path = self._parent("precompute")
        return PoolTable(self.store.file(path, RESPONSES)) if path else None

    @cached_property
    def pool_report(self) -> TeacherPool | None:
        """What that pool holds and took."""
        path = self._parent("precompute")
        return read_artifact(self.store, path, POOL_REPORT, TeacherPool) if path else None

    @property
    def judge_spend(self) -> Spend:
        """What the run's judge has used."""
        return SpendLog(self.store.home / self.paths.judge_spend).total()

    def checkpoint_file(self, name: str) -> Path | None:
        """A file of the newest kept checkpoint that has it."""
        for path in reversed(self.store.committed(self.paths.checkpoints)):
            if self._has(path, name):
                return self.store.file(path, name)
        return None

    def _has(self, path: str, name: str) -> bool:
        """Whether an artifact holds a file of that name."""
        manifest = self.store.read(path)
        return manifest is not None and any(file.path == name for file in manifest.files)

    def _parent(self, stage: str) -> str | None:
        """The shared artifact of a stage that the rounds were made from."""
        first = self.store.read(self.paths.collect(1))
        parents = first.identity.parents if first else ()
        return next((shared(each.stage, each.fingerprint) for each in parents if each.stage == stage), None)
