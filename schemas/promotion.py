"""Whether a trained student becomes the champion, and why."""

from typing import Literal

from schemas.base import Artifact, Fraction, Frozen, Name, Sha256
from schemas.evaluation import Interval


class Contender(Frozen):
    """One side of the comparison."""

    role: Literal["challenger", "champion", "base"]
    """The challenger meets the champion, or the base where there is no champion yet."""
    model: str
    """Checkpoint, or version in the registry."""
    weights_sha256: Sha256


class Difference(Frozen):
    """Challenger minus incumbent on the questions that both answered."""

    source: str | None
    """None: the test questions of all training sources together."""
    questions: int
    challenger: Fraction
    incumbent: Fraction
    difference: float
    interval: Interval


class Gate(Frozen):
    """One condition of promotion."""

    name: Literal["comparable", "gain", "source_loss"]
    passed: bool
    evidence: str
    """The figures and the limit, in one sentence."""


class PromotionDecision(Artifact):
    """The outcome of the `promote` stage."""

    registered_model: Name
    challenger: Contender
    incumbent: Contender
    confidence: float
    """Level of the intervals; evidence only, the gates compare means."""
    differences: tuple[Difference, ...]
    gates: tuple[Gate, ...]
    promoted: bool
    reason: str
