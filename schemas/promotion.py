"""Whether a trained student becomes the champion, and why."""

from typing import Literal

from pydantic import Field

from schemas.base import Artifact, Fraction, Frozen, Name, Sha256
from schemas.evaluation import Interval


class Contender(Frozen):
    """One side of the comparison."""

    role: Literal["challenger", "champion", "base"]
    """The challenger meets the champion, or the base where there is no champion yet."""
    model: str
    """Checkpoint, or version in the registry."""
    digest: str
    """What identifies the weights: `sha256:…` over the checkpoint's files, or `commit:…` of the hub."""


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


class Lineage(Frozen):
    """Where a registered student comes from; its tags in the registry."""

    run: Name
    round: int = Field(ge=0)
    student: str
    """The base student that the run started from, with its digest."""
    run_fingerprint: Sha256
    checkpoint_fingerprint: Sha256
    evaluation_fingerprint: Sha256
    weights_sha256: Sha256
    """Of the weights' file; of the sorted lines `<SHA-256>  <name>` where there are several."""
