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
    accuracy_with_hint: Fraction
    """Of the same questions with the first steps of the solution as a hint, and no candidates."""


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
    """A student, with what makes it worth training by reinforcement."""

    all_wrong: Fraction
    """Share of questions with no right response among eight."""
    reading: CandidateReading


class Writing(Frozen):
    """What a teacher writes about responses, one sample each at temperature 1."""

    faithful_right: Fraction
    """Summaries of right responses of the student that are, word for word, what extraction makes of them."""
    faithful_wrong: Fraction
    """The same of wrong responses."""
    answer_free: Fraction
    """Hints, made from true derivations, without a box and without the final answer as a value."""
    true_prefix: Fraction
    """Hints that are the first steps of the derivation, at least one and not all."""


class TeacherCard(ModelCard):
    """A teacher, with what it makes of responses."""

    writing: Writing


class PocketCard(Artifact):
    """The pocket models, as built."""

    schema_version: int = 2
    seed: int = Field(ge=0)
    """Of weights, examples and measurements."""
    questions: int = Field(ge=1)
    """Questions, drawn apart from the training examples, that each accuracy is measured on."""
    lengths: tuple[int, ...]
    """Operations in the chains that `accuracy` is measured on."""
    longer_lengths: tuple[int, ...]
    """Operations in the chains that `longer_accuracy` is measured on."""
    hintable: Fraction
    """Share of the questions of which a hint without the answer exists."""
    student: StudentCard
    """Tells a correct candidate from a wrong one."""
    student_indifferent: StudentCard
    """Reads candidates, and repeats either about as often."""
    teacher: TeacherCard
    teacher_middle: TeacherCard
    teacher_weak: TeacherCard
