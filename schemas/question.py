"""Questions: the unit of data that a student is trained and evaluated on."""

from typing import Literal

from pydantic import Field

from schemas.base import Artifact, Fraction

AnswerKind = Literal["exact", "numeric", "math", "choice", "free"]
Split = Literal["train", "validation", "test"]


class Question(Artifact):
    """One question with its gold answer."""

    id: str = Field(min_length=1, max_length=200)
    """Identity within the prepared data set: derived from source and content, stable across runs."""
    source: str
    """Name of the source in the recipe that the question came from."""
    kind: str = "all"
    """Category within the source, for accuracies per kind."""
    text: str = Field(min_length=1)
    """The question as the student reads it, without any instruction."""
    answer: str = Field(min_length=1)
    """The gold answer, without a box."""
    answer_kind: AnswerKind = "math"
    """How an answer is compared with the gold answer."""
    choices: tuple[str, ...] = ()
    """Options of a multiple-choice question, in the order A, B, C, …"""
    reference_solution: str | None = None
    """A worked solution that ends in the answer, if the data has one."""
    pass_rate: Fraction | None = None
    """Accuracy of some earlier model on this question, if the data has it."""
    images: tuple[str, ...] = ()
    """Paths or URLs of images; text-only engines refuse such questions."""
