"""Where questions come from and which of them stay."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.base import Config, Fraction, Name
from schemas.question import AnswerKind


class FieldMapping(Config):
    """Which fields of a row hold what."""

    question: str = "question"
    answer: str = "answer"
    reference_solution: str | None = None
    kind: str | None = None
    choices: str | None = None
    pass_rate: str | None = None
    images: str | None = None


class _Source(Config):
    name: Name
    """Name in reports and accuracies; unique in a recipe."""
    role: Literal["train", "evaluate"] = "train"
    """`train`: split into train, validation and test; `evaluate`: all of it is test, out of distribution."""
    weight: float = Field(default=1.0, gt=0.0)
    """Share of the training questions relative to the other sources, when `max_train` bounds them."""
    max_questions: int | None = Field(default=None, ge=1)
    """Cap on the questions taken from this source."""


class _Rows(_Source):
    fields: FieldMapping = FieldMapping()
    answer_kind: AnswerKind = "math"
    answer_pattern: str | None = None
    """Regular expression whose first group is the answer inside the answer field, such as `#### (.+)`;
    the whole field then serves as reference solution unless a field is mapped."""


class PocketSource(_Source):
    """Chains of operations modulo 19, made on the fly for the pocket models."""

    type: Literal["pocket"] = "pocket"
    count: int = Field(default=2048, ge=1)
    lengths: tuple[int, ...] = (3, 4)
    """Operations in a chain."""
    seed: int = 0


class ReasoningGymSource(_Source):
    """A task of reasoning-gym (extra `smollm2`)."""

    type: Literal["reasoning_gym"] = "reasoning_gym"
    task: str
    """Name of a reasoning-gym data set."""
    count: int = Field(default=500, ge=1)
    seed: int = 0
    answer_kind: AnswerKind = "exact"
    question_template: str = "{question}"
    """Text around the question, such as worked examples before it; `{question}` is replaced."""


class FilesSource(_Rows):
    """JSONL, CSV or Parquet files, or directories of them."""

    type: Literal["files"] = "files"
    paths: tuple[str, ...] = Field(min_length=1)
    question_template: str = "{question}"
    """Text around the question, such as worked examples before it; `{question}` is replaced."""


class HubSource(_Rows):
    """A Hugging Face data set: a hub name or a local directory of the same layout."""

    type: Literal["hub"] = "hub"
    path: str
    subset: str | None = None
    split: str = "train"
    revision: str | None = None
    question_template: str = "{question}"
    """Text around the question, such as worked examples before it; `{question}` is replaced."""


SourceConfig = Annotated[
    PocketSource | ReasoningGymSource | FilesSource | HubSource, Field(discriminator="type")
]


class NearDuplicates(Config):
    """Removal of questions that are nearly the same."""

    enabled: bool = True
    threshold: float = Field(default=0.9, gt=0.0, le=1.0)
    """Estimated Jaccard similarity of word shingles from which two questions are the same."""


class DataConfig(Config):
    """The data set of a run."""

    sources: tuple[SourceConfig, ...] = Field(min_length=1)
    """In order: across sources the first of two duplicates stays."""
    validation_questions: int = Field(default=200, ge=0)
    test_questions: int = Field(default=500, ge=0)
    max_train: int | None = Field(default=None, ge=1)
    max_answer_characters: int = Field(default=512, ge=1)
    max_text_characters: int = Field(default=100_000, ge=1)
    """Rows with a longer question are bad rows."""
    max_pass_rate: Fraction | None = None
    """Training questions that an earlier model passes more often are dropped."""
    near_duplicates: NearDuplicates = NearDuplicates()
    max_bad_rows: Fraction = 0.01
    """The stage stops when more than this share of a source's rows is bad."""
    memory_limit_mb: int = Field(default=1024, ge=64)
    """Bound on the memory that preparation uses beyond the process itself."""
