"""What a study is to show: statements, and the tests that decide them."""

from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.base import Config, Fraction, Name
from schemas.study import Axis

BASE = "base"
"""Names the base student where a claim compares a variant with it; no variant has this name."""


ClaimMeasure = Literal[
    "accuracy",
    "out_of_distribution",
    "gain",
    "out_of_distribution_gain",
    "graduation",
    "leavers_graduated",
    "zero_advantage",
    "positive_advantage",
    "bcq_accuracy",
    "bcq_correct_candidate",
    "bcq_wrong_candidate",
    "bcq_neither",
    "bcq_correct_first",
    "bcq_accuracy_correct_first",
    "bcq_accuracy_correct_second",
    "ncq_accuracy",
    "ncq_repeats_listed",
    "ncq_matches_teacher",
    "teacher_accuracy",
    "rollouts",
    "student_tokens",
    "teacher_tokens",
    "seconds",
]
"""What a claim is about. `accuracy` and `out_of_distribution` are those of the student at the end of the
axis, a `gain` is what it has over the base student; `graduation` is the share of the buffer's entries that
graduated, `leavers_graduated` that of the entries that left it; `seconds` are those of collecting and
updating; `zero_advantage` and `positive_advantage` are means over the rounds, and what is about BCQ and NCQ
means over the last quarter of them, over the rounds that have the value."""


_OF_A_STUDENT = ("accuracy", "out_of_distribution")
"""Measures that the base student has too, and that are known at every checkpoint."""


class DifferenceTest(Config):
    """Holds where `larger` exceeds `smaller`, paired by seed, with an interval above zero."""

    type: Literal["difference"] = "difference"
    measure: ClaimMeasure = "accuracy"
    larger: Name
    """A variant, or `base`."""
    smaller: Name
    """A variant, or `base`."""
    axis: Axis = "rounds"
    """What both are given the same amount of; other than `rounds` for accuracies only."""
    entry_accuracy: Fraction | None = None
    """Of `graduation`: only entries admitted at this accuracy."""

    @model_validator(mode="after")
    def _base_has_the_measure(self) -> Self:
        if self.larger == self.smaller:
            raise ValueError(
                f"larger and smaller are both {self.larger!r}; name two variants, or one and base"
            )
        if BASE in (self.larger, self.smaller) and self.measure not in _OF_A_STUDENT:
            raise ValueError(f"the base student has no {self.measure!r}, only {listed(_OF_A_STUDENT)}")
        return self

    @model_validator(mode="after")
    def _entries_are_those_of_the_buffer(self) -> Self:
        _check_entry_accuracy(self.measure, self.entry_accuracy)
        return self

    @model_validator(mode="after")
    def _axis_fits(self) -> Self:
        if self.axis != "rounds" and self.measure not in _OF_A_STUDENT:
            raise ValueError(f"axis {self.axis!r} is for {listed(_OF_A_STUDENT)}, not {self.measure!r}")
        return self


class BetweenTest(Config):
    """Holds where the whole interval of the mean over seeds lies in a range; its bounds belong to it."""

    type: Literal["between"] = "between"
    measure: ClaimMeasure
    variant: Name
    low: float
    high: float
    entry_accuracy: Fraction | None = None
    """Of `graduation`: only entries admitted at this accuracy."""

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low is {self.low}, high is {self.high}; expected low < high")
        _check_entry_accuracy(self.measure, self.entry_accuracy)
        return self


class InteractionTest(Config):
    """Holds where two changes together gain more over `neither` than the sum of their gains alone."""

    type: Literal["interaction"] = "interaction"
    measure: Literal["accuracy", "out_of_distribution"] = "accuracy"
    both: Name
    first: Name
    """Has the first change only."""
    second: Name
    """Has the second change only."""
    neither: Name
    axis: Axis = "rounds"


class NotTestable(Config):
    """The study cannot say."""

    type: Literal["not_testable"] = "not_testable"
    reason: str = Field(min_length=1)


ClaimTest = Annotated[
    DifferenceTest | BetweenTest | InteractionTest | NotTestable, Field(discriminator="type")
]


class Claim(Config):
    """A statement that the study confirms, contradicts or cannot test; at each setting of the factors."""

    statement: str = Field(min_length=1)
    source: str = Field(min_length=1)
    """Where it stands, such as `Table 2` of a paper."""
    test: ClaimTest


def variants_of(test: ClaimTest) -> tuple[str, ...]:
    """The variants that a test names, the base student left out."""
    match test:
        case DifferenceTest():
            return tuple(name for name in (test.larger, test.smaller) if name != BASE)
        case BetweenTest():
            return (test.variant,)
        case InteractionTest():
            return (test.both, test.first, test.second, test.neither)
        case NotTestable():
            return ()


def listed(names: Iterable[str]) -> str:
    """Names for an error message."""
    return ", ".join(names)


def _check_entry_accuracy(measure: ClaimMeasure, entry_accuracy: float | None) -> None:
    if entry_accuracy is not None and measure != "graduation":
        raise ValueError(f"entry_accuracy is for the measure 'graduation', not {measure!r}")
