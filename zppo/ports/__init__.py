"""The few things that a training step needs from outside, as Protocols.

Adapters live in one folder for each technology; `zppo.wiring` builds them from a recipe. The same
contract tests hold for every adapter of a port and for its in-memory fake.
"""

from zppo.ports.generation import (
    Finished,
    Generation,
    GenerationFailure,
    GenerationRequest,
    RolloutEngine,
    Text,
    TextModel,
    TextRequest,
)
from zppo.ports.learning import (
    DistillationRow,
    DriftCheck,
    Learner,
    MiniBatch,
    PolicyRow,
    StaleRolloutsError,
    TrainingRow,
    UpdateStatistics,
)
from zppo.ports.teaching import Compressor, Grade, Grader, Shortened, Teacher, TeacherAnswer, Visit
from zppo.ports.tracking import TrackedData, TrackedRun, Tracker

__all__ = [
    "Compressor",
    "DistillationRow",
    "DriftCheck",
    "Finished",
    "Generation",
    "GenerationFailure",
    "GenerationRequest",
    "Grade",
    "Grader",
    "Learner",
    "MiniBatch",
    "PolicyRow",
    "RolloutEngine",
    "Shortened",
    "StaleRolloutsError",
    "Teacher",
    "TeacherAnswer",
    "Text",
    "TextModel",
    "TextRequest",
    "TrackedData",
    "TrackedRun",
    "Tracker",
    "TrainingRow",
    "UpdateStatistics",
    "Visit",
]
