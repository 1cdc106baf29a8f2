"""Where questions come from and which of them stay."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from schemas.base import Config, Fraction, Name
from schemas.question import AnswerKind


def _pattern_with_group(pattern: str) -> str:
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from error
    if groups < 1:
        raise ValueError(f"{pattern!r} needs a group around the answer, as in '#### (.+)'")
    return pattern


def _template_with_question(template: str) -> str:
    if "{question}" not in template:
        raise ValueError(f"{template!r} must hold {{question}}, which the question replaces")
    return template


def _template_with_answer(template: str) -> str:
    if "{answer}" not in template:
        raise ValueError(f"{template!r} must hold {{answer}}, which the gold answer replaces")
    return template


AnswerPattern = Annotated[str, AfterValidator(_pattern_with_group)]
QuestionTemplate = Annotated[str, AfterValidator(_template_with_question)]
SolutionTemplate = Annotated[str, AfterValidator(_template_with_answer)]


class FieldMapping(Config):
    """Which fields of a row hold what. Every field named here must be there; the others are not read."""

    question: str = "question"
    """Text."""
    answer: str = "answer"
    """Text or a number. Of a multiple-choice question: the letter of an option, or its text."""
    reference_solution: str | None = None
    """Text of a worked solution; may be empty."""
    kind: str | None = None
    """Text: the question's category."""
    choices: str | None = None
    """List of the options' texts (in CSV a JSON list); they are appended to the question, lettered."""
    pass_rate: str | None = None
    """Number in 0..1; may be empty."""
    images: str | None = None
    """Path or URL, or a list of them. Text-only engines refuse rows that have one."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The fields that a row must have, each once."""
        return tuple(dict.fromkeys(name for name in self.model_dump().values() if name is not None))


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
    answer_pattern: AnswerPattern | None = None
    """Regular expression whose first group is the answer inside the answer field, such as `#### (.+)`; its
    last match counts, and thousands separators leave a number. The whole field then serves as reference
    solution unless a field is mapped."""
    question_template: QuestionTemplate = "{question}"
    """Text around the question, such as worked examples before it; `{question}` is replaced."""


class PocketSource(_Source):
    """Chains of operations modulo 19, made on the fly for the pocket models."""

    type: Literal["pocket"] = "pocket"
    count: int = Field(default=2048, ge=1)
    lengths: tuple[int, ...] = (3, 4)
    """Operations in a chain."""
    seed: int = 0


class TaskParameter(Config):
    """A parameter of a reasoning-gym task, such as one of its difficulty."""

    name: str
    value: bool | int | float | str


class ReasoningGymSource(_Source):
    """A task of reasoning-gym (extra `smollm2`)."""

    type: Literal["reasoning_gym"] = "reasoning_gym"
    task: str
    """Name of a reasoning-gym data set."""
    count: int = Field(default=500, ge=1)
    seed: int = 0
    parameters: tuple[TaskParameter, ...] = ()
    """Those of the task that differ from its defaults."""
    answer_kind: AnswerKind = "exact"
    question_template: QuestionTemplate = "{question}"
    """Text around the question, such as worked examples before it; `{question}` is replaced."""
    solution_template: SolutionTemplate | None = None
    """Makes a reference solution of each gold answer, since the tasks have none; `{answer}` is replaced."""


class FilesSource(_Rows):
    """JSONL, CSV or Parquet files, or directories of them."""

    type: Literal["files"] = "files"
    paths: tuple[str, ...] = Field(min_length=1)


class HubSource(_Rows):
    """A Hugging Face data set: a hub name or a local directory of the same layout."""

    type: Literal["hub"] = "hub"
    path: str
    subset: str | None = None
    split: str = "train"
    revision: str | None = None


SourceConfig = Annotated[
    PocketSource | ReasoningGymSource | FilesSource | HubSource, Field(discriminator="type")
]


class NearDuplicates(Config):
    """Removal of questions that are nearly the same, within training and between training and evaluation.

    Two questions with different numbers are never the same, and the questions of a generator are
    compared exactly: those of one template all look alike.
    """

    enabled: bool = True
    """Off leaves exact comparison only, for contamination too."""
    threshold: float = Field(default=0.9, ge=0.5, le=1.0)
    """Jaccard similarity of their three-word shingles from which two questions are the same."""


class DataConfig(Config):
    """The data set of a run."""

    sources: tuple[SourceConfig, ...] = Field(min_length=1)
    """In order: across sources the first of two duplicates stays."""
    validation_questions: int = Field(default=200, ge=0)
    """Questions of the training sources that choose the best checkpoint."""
    test_questions: int = Field(default=500, ge=0)
    """Questions of the training sources that only evaluation and promotion see."""
    seed: int = Field(default=0, ge=0)
    """Of the splits and of the teacher's responses. Runs that differ in the recipe's own seed share both, so
    that a champion is never judged on questions that it was trained on."""
    max_train: int | None = Field(default=None, ge=1)
    """Most training questions; the sources share them by weight."""
    max_answer_characters: int = Field(default=512, ge=1)
    """Questions with a longer answer are dropped."""
    max_text_characters: int = Field(default=100_000, ge=1)
    """Rows with a longer question are bad rows."""
    max_pass_rate: Fraction | None = None
    """Questions of the training sources that an earlier model passes more often are dropped."""
    near_duplicates: NearDuplicates = NearDuplicates()
    max_bad_rows: Fraction = 0.01
    """The stage stops when more than this share of a source's rows is bad."""
    memory_limit_mb: int = Field(default=1024, ge=128)
    """Bound on the memory that preparation uses beyond the process itself."""

    @model_validator(mode="after")
    def _sources_fit_together(self) -> "DataConfig":
        names = [source.name for source in self.sources]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"each source needs a name of its own; twice or more: {', '.join(twice)}")
        if all(source.role == "evaluate" for source in self.sources):
            raise ValueError("no source has role 'train'; there is nothing to train on")
        return self
