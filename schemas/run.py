"""A run as the store knows it, and how far it is."""

from typing import Literal

from pydantic import Field

from schemas.base import Artifact, Fraction, Frozen, Name, Sha256
from schemas.config.data import DataConfig
from schemas.config.run import RunConfig


class ResolvedModel(Frozen):
    """A model reference pinned to bytes when the run was opened."""

    reference: str
    """What it is loaded from: a directory, a hub name, or `models:/NAME/VERSION`."""
    revision: str | None = None
    """Hub commit."""
    digest: str
    """Identity of its weights, tokenizer and configuration."""


class RunRecord(Artifact):
    """What a run computes: `run.json` in its first artifact."""

    name: Name
    recipe: RunConfig
    """As asked, with every default written out."""
    student: ResolvedModel
    """What `student.model` stood for: `champion` becomes a registered version."""
    data: DataConfig
    """The recipe's data with every hub revision pinned to a commit."""
    teacher: ResolvedModel | None = None
    """Where the teacher is a model."""
    fork: "Fork | None" = None
    """Where the run began in the middle of another one."""


class Fork(Frozen):
    """The committed round of another run that a run goes on from."""

    parent: RunRecord
    """What the other run computes: the updates up to `round` are its own."""
    round: int = Field(ge=1)
    """The last round that both runs share."""
    run_fingerprint: Sha256
    """Of the other run."""
    round_fingerprint: Sha256
    """Of the update of `round`."""


RunState = Literal["running", "stopped", "trained", "evaluated", "finished"]


class RunStatus(Frozen):
    """How far a run is, from what it has committed."""

    name: Name
    state: RunState
    """`running`: a process holds it; `stopped`: none does and rounds are left; `trained`: only evaluation or
    promotion are left, which a run of a study does without; `evaluated`: a model without training, which is
    all that was asked for; `finished`: all is committed."""
    process: int | None
    """Process id of the holder."""
    host: str | None
    method: str
    student: str
    rounds_done: int = Field(ge=0)
    rounds: int = Field(ge=1)
    seconds_left: float | None
    """Of the training rounds, at the pace so far; None where there is no pace yet or nothing is left."""
    plain_accuracy: Fraction | None
    """On the training questions of the last committed round."""
    validation: tuple[tuple[int, Fraction], ...]
    """(round, accuracy on the validation split), ascending."""
    checkpoints: tuple[int, ...]
    """Rounds whose checkpoint is kept."""
    base_accuracy: Fraction | None
    """Of the base student on the held-out questions of the training sources; None before evaluation."""
    student_accuracy: Fraction | None
    """Of the best checkpoint, likewise."""
