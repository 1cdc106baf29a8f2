"""What a study measured: one record a run, from which every table and figure is made."""

from typing import Literal

from pydantic import Field, JsonValue

from schemas.base import Artifact, Fraction, Frozen, Name
from schemas.report import Share
from schemas.rollout import PromptKind


class CurvePoint(Frozen):
    """A student at the end of a round that has a checkpoint, and what it has cost up to there."""

    round: int = Field(ge=0)
    """0 is the base student."""
    student_rollouts: int = Field(ge=0)
    """All valid rollouts drawn for training so far, of every prompt kind."""
    student_tokens: int = Field(ge=0)
    """Tokens of those rollouts."""
    teacher_tokens: int = Field(ge=0)
    """Tokens of the teacher responses used so far, from the pool or online."""
    seconds: float = Field(ge=0.0)
    """Of collecting and updating; neither validation nor checkpoints."""
    accuracy: Fraction
    """On held-out questions of the training sources."""
    out_of_distribution: Share
    """On the sources that are only evaluated."""


class RoundPoint(Frozen):
    """What a round was made of."""

    round: int = Field(ge=1)
    groups: dict[PromptKind, int]
    replayed: int = Field(default=0, ge=0)
    """Plain groups of replayed questions, of those in `groups`."""
    accuracy: dict[PromptKind, float]
    """Mean reward by prompt kind; kinds without a valid rollout are left out."""
    zero_advantage_groups: Share
    positive_advantage_rollouts: Share
    buffer: int = Field(ge=0)
    """Entries after the round."""
    entropy: float | None
    """Of the student, mean over the round's updates."""
    bcq_correct_candidate: Share
    bcq_wrong_candidate: Share
    bcq_neither: Share
    bcq_correct_first: Share
    """Rollouts whose prompt shows the correct candidate first."""
    bcq_accuracy_correct_first: Share
    bcq_accuracy_correct_second: Share
    ncq_repeats_listed: Share
    ncq_matches_teacher: Share


class Fate(Frozen):
    """What became of the buffer entries of one entry accuracy and number of visits."""

    entry_accuracy: Fraction
    visits: int = Field(ge=1)
    """Plain groups from admission to the end, the admitting one included."""
    graduated: int = Field(ge=0)
    evicted: int = Field(ge=0)
    remaining: int = Field(ge=0)
    """Still in the buffer after the last round."""


class StudyRun(Artifact):
    """One finished run of a study."""

    variant: Name
    """The study's name for the method and its settings."""
    method: str
    factors: dict[str, JsonValue]
    """The varied recipe keys and their values; empty where the study varies none."""
    seed: int = Field(ge=0)
    run: str
    """Name of the run in the home."""
    curve: tuple[CurvePoint, ...]
    """From the base student to the last round."""
    rounds: tuple[RoundPoint, ...]
    fates: tuple[Fate, ...]
    teacher_accuracy: Share = None
    """Correct responses in the teacher pool, where there is one."""


Axis = Literal["rounds", "rollouts", "seconds"]
"""What two variants are given the same amount of."""
Measure = Literal["accuracy", "out_of_distribution"]
