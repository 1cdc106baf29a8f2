"""The card of the pocket models: what was measured when they were built."""

from pydantic import Field

from schemas.base import Artifact, Fraction, Frozen, Sha256


class CandidateReading(Frozen):
    """How a student answers BCQ prompts of hard questions; shares are of all its responses."""

    questions: int = Field(ge=0)
    """Hard questions (plain accuracy below one half)."""
    plain_accuracy: Fraction
    """Of the same questions without candidates."""
    accuracy: Fraction
    correct_first: Fraction
    """Accuracy where the correct candidate stands first."""
    correct_second: Fraction
    """Accuracy where the correct candidate stands second."""
    copies_correct: Fraction
    """Responses that repeat the correct candidate word for word."""
    copies_wrong: Fraction
    """Responses that repeat the wrong candidate word for word."""
    answers_wrong: Fraction
    """Responses with the wrong candidate's final answer."""


class ModelCard(Frozen):
    """One model: its size and its accuracy at temperature 1, eight responses a question."""

    parameters: int = Field(ge=1)
    weights_sha256: Sha256
    """Digest of `model.safetensors`."""
    accuracy: Fraction
    """On chains of the training lengths."""
    longer_accuracy: Fraction
    """On longer chains, out of distribution."""
    updates: int = Field(ge=1)
    """Optimizer updates of its supervised training."""


class StudentCard(ModelCard):
    """The student, with what makes it worth training by reinforcement."""

    all_wrong: Fraction
    """Share of questions with no right response among eight."""
    reading: CandidateReading


class PocketCard(Artifact):
    """A pair of pocket models, as built."""

    seed: int = Field(ge=0)
    """Of weights, examples and measurements."""
    questions: int = Field(ge=1)
    """Questions, drawn apart from the training examples, that each accuracy is measured on."""
    lengths: tuple[int, ...]
    """Operations in the chains that `accuracy` is measured on."""
    longer_lengths: tuple[int, ...]
    """Operations in the chains that `longer_accuracy` is measured on."""
    student: StudentCard
    teacher: ModelCard
