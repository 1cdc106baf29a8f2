"""A study: one recipe run under several methods, settings and seeds, and what it is to show."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, model_validator

from schemas.base import Config, Fraction, Name
from schemas.errors import nearest
from schemas.study import Axis

BASE = "base"
"""Names the base student where a claim compares a variant with it; no variant has this name."""


def _no_seed(override: str) -> str:
    if override.partition("=")[0].strip() == "seed":
        raise ValueError(f"{override!r}: list seeds under `seeds`, which pairs the runs by them")
    return override


Override = Annotated[str, Field(pattern=r"^[^=\s]+\s*="), AfterValidator(_no_seed)]
"""A setting of the recipe as the command line's `--set` takes it: `method.tau=0.4`."""
Seeds = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]

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


class Variant(Config):
    """A method with its settings: one row of the study's table."""

    name: Name
    """In the names of its runs; unique in a study."""
    label: str = ""
    """In tables and figures; the name where it is empty."""
    set: tuple[Override, ...] = ()
    """Settings that differ from the study's recipe; another method replaces the whole part, as in
    `method={type: grpo}`."""
    seeds: Seeds | None = None
    """Its own seeds instead of the study's, where it needs more of them."""

    @property
    def title(self) -> str:
        """What tables and figures call it."""
        return self.label or self.name


class Factor(Config):
    """A key of the recipe that every variant is run under several values of."""

    key: str = Field(pattern=r"^[^=\s]+$")
    """Dotted, such as `student.model` or `data.sources.0.count`."""
    label: str = ""
    """In tables and figures; the key where it is empty."""
    values: tuple[JsonValue, ...] = Field(min_length=1)
    labels: tuple[str, ...] = ()
    """What tables and figures call the values, in their order; the values themselves where it is empty."""

    @property
    def title(self) -> str:
        """What tables and figures call it."""
        return self.label or self.key

    def value_title(self, value: JsonValue) -> str:
        """What tables and figures call one of its values."""
        return self.labels[self.values.index(value)] if self.labels else str(value)

    @model_validator(mode="after")
    def _is_well_formed(self) -> Self:
        if self.key == "seed":
            raise ValueError("the seed is no factor: list seeds under `seeds`, which pairs the runs by them")
        if self.labels and len(self.labels) != len(self.values):
            raise ValueError(f"{len(self.labels)} labels for {len(self.values)} values of {self.key!r}")
        if any(value in self.values[:index] for index, value in enumerate(self.values)):
            raise ValueError(f"a value of {self.key!r} stands twice")
        return self


class Comparison(Config):
    """Two variants whose difference, paired by seed, the report gives at equal rounds, rollouts and time."""

    better: Name
    """The one that is expected to be better."""
    baseline: Name


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
            raise ValueError(f"the base student has no {self.measure!r}, only {_listed(_OF_A_STUDENT)}")
        return self

    @model_validator(mode="after")
    def _entries_are_those_of_the_buffer(self) -> Self:
        _check_entry_accuracy(self.measure, self.entry_accuracy)
        return self

    @model_validator(mode="after")
    def _axis_fits(self) -> Self:
        if self.axis != "rounds" and self.measure not in _OF_A_STUDENT:
            raise ValueError(f"axis {self.axis!r} is for {_listed(_OF_A_STUDENT)}, not {self.measure!r}")
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


class VariantGroup(Config):
    """Variants that the report shows together: a table of their own and one set of figures."""

    name: Name
    """In the names of the figures' files; unique in a study."""
    title: str = Field(min_length=1)
    description: str = ""
    """A paragraph above its table."""
    variants: tuple[Name, ...] = Field(min_length=1, max_length=8)
    """More lines than eight cannot be told apart."""


class StudyConfig(Config):
    """A grid of runs over the same data: variants, times the values of every factor, times seeds."""

    title: str = Field(min_length=1)
    description: str = ""
    """A paragraph for the head of the report."""
    recipe: str
    """Name of a shipped recipe, or path of a YAML file, relative to the study's own."""
    set: tuple[Override, ...] = ()
    """Settings of every run."""
    seeds: Seeds
    """Of the recipe; runs of the same seed are compared in pairs."""
    variants: tuple[Variant, ...] = Field(min_length=1)
    factors: tuple[Factor, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    claims: tuple[Claim, ...] = ()
    groups: tuple[VariantGroup, ...] = ()
    """Where there are none, the report groups the variants as they stand, by six."""
    confidence: float = Field(default=0.95, gt=0.0, lt=1.0)
    """Level of the bootstrap intervals."""
    bootstrap_resamples: int = Field(default=10_000, ge=100)
    """Resamples of the seeds."""

    def variant(self, name: str) -> Variant:
        """The variant of a name that is known to exist."""
        return next(variant for variant in self.variants if variant.name == name)

    def seeds_of(self, variant: Variant) -> tuple[int, ...]:
        """Its own seeds, or else the study's."""
        return variant.seeds or self.seeds

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [variant.name for variant in self.variants]
        _each_once("variants", names)
        _each_once("factors", [factor.key for factor in self.factors])
        _each_once("groups", [group.name for group in self.groups])
        for seeds in (self.seeds, *(variant.seeds or () for variant in self.variants)):
            _each_once("seeds", [str(seed) for seed in seeds])
        if BASE in names:
            raise ValueError(f"{BASE!r} is the base student; give the variant another name")
        return self

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        known = [variant.name for variant in self.variants]
        for place, name in self._named():
            if name not in known:
                raise ValueError(
                    f"{place} names {name!r}, but no variant has this name; {nearest(name, known)}"
                )
        return self

    def _named(self) -> Iterator[tuple[str, str]]:
        """Every variant that a comparison or a claim names, and where."""
        for index, comparison in enumerate(self.comparisons):
            yield f"comparisons.{index}", comparison.better
            yield f"comparisons.{index}", comparison.baseline
        for index, claim in enumerate(self.claims):
            for name in _variants_of(claim.test):
                yield f"claims.{index}", name
        for index, group in enumerate(self.groups):
            for name in group.variants:
                yield f"groups.{index}", name


_OF_A_STUDENT = ("accuracy", "out_of_distribution")
"""Measures that the base student has too, and that are known at every checkpoint."""


def _check_entry_accuracy(measure: ClaimMeasure, entry_accuracy: float | None) -> None:
    if entry_accuracy is not None and measure != "graduation":
        raise ValueError(f"entry_accuracy is for the measure 'graduation', not {measure!r}")


def _variants_of(test: ClaimTest) -> tuple[str, ...]:
    match test:
        case DifferenceTest():
            return tuple(name for name in (test.larger, test.smaller) if name != BASE)
        case BetweenTest():
            return (test.variant,)
        case InteractionTest():
            return (test.both, test.first, test.second, test.neither)
        case NotTestable():
            return ()


def _each_once(what: str, names: Iterable[str]) -> None:
    names = list(names)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{what}: expected each once, but twice or more: {_listed(twice)}")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
