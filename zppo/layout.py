"""Where a run's artifacts lie in the store."""

from dataclasses import dataclass
from pathlib import PurePosixPath

REPORTS = "reports"
"""Pages that `zppo report` wrote; no artifacts."""
RESERVED = frozenset(
    {"store", "studies", REPORTS, "tmp", "prefect", "mlartifacts", "mlflow.db", "mlflow-server.log"}
)
"""What else lies beside the runs; none of them names a run."""


@dataclass(frozen=True)
class RunPaths:
    """Paths of one run, relative to the store's home."""

    name: str

    @property
    def root(self) -> str:
        """The run's own directory."""
        return self.name

    @property
    def manifest(self) -> str:
        """The resolved recipe and what it starts from."""
        return f"{self.root}/run"

    @property
    def rounds(self) -> str:
        """Parent of all rounds."""
        return f"{self.root}/rounds"

    def collect(self, index: int) -> str:
        """Rollouts of a round."""
        return f"{self.rounds}/{index:05d}/collect"

    def update(self, index: int) -> str:
        """Step report of a round."""
        return f"{self.rounds}/{index:05d}/update"

    @property
    def teacher_spend(self) -> str:
        """What the run has spent at its teacher's endpoint; no artifact."""
        return f"{self.root}/teacher-spend.jsonl"

    @property
    def judge_spend(self) -> str:
        """What the run's judge has used; no artifact."""
        return f"{self.root}/judge-spend.jsonl"

    @property
    def base(self) -> str:
        """Validation of the base student."""
        return f"{self.root}/base"

    @property
    def summary(self) -> str:
        """What a person reads at the end; a run that has it is finished."""
        return f"{self.root}/summary"

    @property
    def checkpoints(self) -> str:
        """Parent of all checkpoints."""
        return f"{self.root}/checkpoints"

    def checkpoint(self, index: int) -> str:
        """Weights, optimizer and state after a round; round 0 is the base."""
        return f"{self.checkpoints}/{index:05d}"

    @property
    def pins(self) -> str:
        """Holds a small file for each claim on a checkpoint that must stay."""
        return f"{self.root}/pins"

    def pin(self, index: int, owner: str) -> str:
        """The claim of one owner on the checkpoint of a round."""
        return f"{self.pins}/{index:05d}.{owner}"

    @property
    def evaluation(self) -> str:
        """Base, student and teacher side by side."""
        return f"{self.root}/evaluate"

    @property
    def promotion(self) -> str:
        """The promotion decision."""
        return f"{self.root}/promote"

    @property
    def approval(self) -> str:
        """Is there where a promotion of the run waits for somebody's approval; no artifact."""
        return f"{self.root}/approval"

    @property
    def answers(self) -> str:
        """The promotion decisions that a person has approved or refused."""
        return f"{self.root}/answers"

    def answer(self, fingerprint: str) -> str:
        """One of them."""
        return f"{self.answers}/{fingerprint[:16]}"


@dataclass(frozen=True)
class StudyPaths:
    """Paths of one study, relative to the store's home; its runs lie beside all others."""

    name: str

    @property
    def root(self) -> str:
        """The study's own directory."""
        return f"studies/{self.name}"

    @property
    def records(self) -> str:
        """Parent of all records."""
        return f"{self.root}/runs"

    def record(self, run: str) -> str:
        """What the study keeps of a finished run."""
        return f"{self.records}/{run}"

    @property
    def wall_time(self) -> str:
        """Seconds that its sittings took; a file that belongs to no artifact."""
        return f"{self.root}/seconds"

    @property
    def report(self) -> str:
        """Tables and figures; a study that has it is finished."""
        return f"{self.root}/report"


PARTIAL = "store/partial"
"""Parent of all unfinished, resumable work."""


def shared_stage(stage: str) -> str:
    """Parent of all shared artifacts of a stage."""
    return f"store/{stage}"


def shared(stage: str, fingerprint: str) -> str:
    """A content-addressed artifact that runs share."""
    return f"{shared_stage(stage)}/{fingerprint[:16]}"


def partial(stage: str, fingerprint: str) -> str:
    """Unfinished, resumable work of a stage."""
    return f"{PARTIAL}/{stage}-{fingerprint[:16]}"


def champions(registered_model: str) -> str:
    """Parent of the history of a registered model's champion."""
    return f"store/champions/{registered_model}"


def champion_move(registered_model: str, number: int) -> str:
    """One entry of that history."""
    return f"{champions(registered_model)}/{number:05d}"


def stage_at(path: str) -> str:
    """The stage that makes the artifact at a path, where its manifest cannot be asked."""
    place = PurePosixPath(path)
    named = (stage for pattern, stage in _STAGES if place.match(pattern))
    return next(named, place.parent.name if place.match(shared_stage("*/*")) else place.name)


_STAGES = (
    (champions("*/*"), "champion"),
    (shared_stage("answers/*"), "answers"),
    (StudyPaths("*").record("*"), "study-run"),
    (StudyPaths("*").report, "study-report"),
    (f"{RunPaths('*').checkpoints}/*", "checkpoint"),
    ("*/answers/*", "answer"),
)
"""Of artifacts that lie under another name than that of their stage."""
