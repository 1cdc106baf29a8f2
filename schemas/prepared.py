"""What data preparation reports: every input row is in a split, counted under one rule, or quarantined."""

from typing import Literal, Self

from pydantic import Field, NonNegativeInt, model_validator

from schemas.base import Artifact, Frozen, Name
from schemas.question import Split

Rule = Literal[
    "pass_rate",
    "answer_too_long",
    "prompt_too_long",
    "contamination",
    "duplicate",
    "near_duplicate",
    "source_cap",
    "max_train",
]
"""Why a good row is in no split. The first rule in this order that applies counts the row."""


class InputDigest(Frozen):
    """What one source was read from."""

    source: Name
    name: str
    """A file, a data set or a generator."""
    digest: str = Field(pattern=r"^(sha256:[0-9a-f]{64}|commit:[0-9a-f]{40}|version:.+)$")
    """Of a file its SHA-256, of a hub data set its commit, of a generator its version."""


class QuarantinedRow(Frozen):
    """A row that is no question: one line of `quarantine/<source>.jsonl`."""

    source: Name
    file: str
    line: int = Field(ge=1)
    """Line of a text file where the row starts, otherwise the row's number; both count from 1."""
    reason: str
    excerpt: str
    """The first characters of the row, or of the field at fault."""


class RemovedQuestion(Frozen):
    """An example of what a rule removed."""

    file: str
    line: int = Field(ge=1)
    detail: str
    """What was measured against which limit, or which question is the same."""
    excerpt: str


class Removal(Frozen):
    """What one rule removed from one source."""

    rule: Rule
    count: int = Field(ge=1)
    examples: tuple[RemovedQuestion, ...]
    """The first few."""


class KindCount(Frozen):
    """Questions of one kind of one source in each split."""

    kind: str
    train: NonNegativeInt = 0
    validation: NonNegativeInt = 0
    test: NonNegativeInt = 0


class SourceReport(Frozen):
    """What became of the rows of one source."""

    name: Name
    role: Literal["train", "evaluate"]
    rows: NonNegativeInt
    bad_rows: NonNegativeInt
    bad_examples: tuple[QuarantinedRow, ...] = ()
    """The first few; all of them are in the quarantine file."""
    removed: tuple[Removal, ...] = ()
    kinds: tuple[KindCount, ...] = ()

    def questions(self, split: Split) -> int:
        """Questions of this source in a split."""
        return sum(getattr(kind, split) for kind in self.kinds)

    @model_validator(mode="after")
    def _nothing_is_lost(self) -> Self:
        kept = sum(self.questions(split) for split in ("train", "validation", "test"))
        removed = sum(removal.count for removal in self.removed)
        if self.rows != kept + removed + self.bad_rows:
            raise ValueError(
                f"source {self.name!r}: {self.rows} rows, but {kept} kept + {removed} removed + "
                f"{self.bad_rows} bad"
            )
        return self


class PreparedData(Artifact):
    """Report of the prepared data set beside `train.parquet`, `validation.parquet` and `test.parquet`."""

    inputs: tuple[InputDigest, ...]
    sources: tuple[SourceReport, ...]
    """In the order of the recipe."""

    def questions(self, split: Split) -> int:
        """Questions in a split; the test split includes the evaluation sources."""
        return sum(source.questions(split) for source in self.sources)
