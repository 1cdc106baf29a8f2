"""Whether a trained student becomes the champion, and why; and what is known of a registered one."""

from typing import Literal

from pydantic import Field

from schemas.base import Artifact, Fraction, Frozen, Name, Sha256
from schemas.config.models import DecodingConfig
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

    name: Literal["comparable", "gain", "interval", "source_loss", "truncated", "no_answer", "contamination"]
    passed: bool
    evidence: str
    """The figures and the limit, in one sentence."""


class Contamination(Frozen):
    """What is known about training questions among the test questions of a prepared data set."""

    test_questions: int = Field(ge=0)
    in_training: int = Field(ge=0)
    """Test questions that are in the training or validation split too, by their content."""
    removed: int = Field(ge=0)
    """Training questions that preparation removed because an evaluation source has them."""
    near_threshold: float | None
    """Similarity from which two questions counted as the same; None: only if they were equal."""


class Approval(Frozen):
    """What a person said who was asked whether a challenger that passed its gates is to be champion."""

    approved: bool
    reason: str = Field(min_length=1)
    against: str | None
    """The champion that they were asked about, `models:/NAME/VERSION`; None where there was none."""


class PromotionDecision(Artifact):
    """The outcome of the `promote` stage."""

    registered_model: Name
    challenger: Contender
    incumbent: Contender
    confidence: float
    """Level of the intervals."""
    differences: tuple[Difference, ...]
    gates: tuple[Gate, ...]
    promoted: bool
    """Whether all gates passed."""
    reason: str
    contamination: Contamination | None = None
    """None in decisions of before it was a gate."""
    approval: Approval | None = None
    """None where nobody was asked."""


class ChampionMove(Artifact):
    """One entry in the history of a registered model's champion, numbered without a gap."""

    registered_model: Name
    number: int = Field(ge=1)
    kind: Literal["promotion", "forced", "rollback"]
    """`promotion`: all gates passed; `forced` and `rollback`: a person wanted it."""
    version: str
    """The new champion, `models:/NAME/VERSION`."""
    previous: str | None
    """The champion before it."""
    reason: str
    """What the decision says, or the person."""
    decision: PromotionDecision | None
    """With its evidence, whether it was followed or not; None for a rollback."""


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


class DataFact(Frozen):
    """A data source as a model card names it."""

    name: Name
    role: Literal["train", "evaluate"]
    origin: str
    """A file, a data set or a generator."""
    digest: str
    """What was read: SHA-256 of a file, commit of a hub data set, version of a generator."""
    questions: int = Field(ge=0)
    """Of all splits."""
    licence: str | None
    """As the data set's own card says; None where nothing is known."""


class ModelFact(Frozen):
    """A model as a model card names it."""

    model: str
    revision: str | None
    """Hub commit, or the recipe's label of an endpoint's model."""
    digest: str | None
    """Of weights, tokenizer and configuration; None for what is behind an endpoint."""
    licence: str | None
    """As the model's own card says; None where nothing is known."""


class AccuracyFact(Frozen):
    """An accuracy as a model card shows it."""

    model: Literal["base", "student", "teacher"]
    questions_of: str
    """`held out`, `out of distribution`, or a source."""
    questions: int = Field(ge=0)
    accuracy: Fraction
    interval: Interval


class RegisteredCard(Artifact):
    """What the model card of a registered student says; written when it is registered."""

    name: Name
    """Of the registered model."""
    lineage: Lineage
    method: str
    rounds: int
    """Of the whole run; the student is as it was after `lineage.round`."""
    student: ModelFact
    """What the run started from: a base, or a version in the registry."""
    teacher: ModelFact | None
    teacher_type: str
    data: tuple[DataFact, ...]
    data_fingerprint: Sha256
    accuracies: tuple[AccuracyFact, ...]
    confidence: float
    """Level of the intervals, bootstrap over questions."""
    decoding: DecodingConfig
