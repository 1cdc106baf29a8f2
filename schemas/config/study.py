"""A study: one recipe run under several methods, settings and seeds, and what it is to show."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Self

from pydantic import AfterValidator, Field, JsonValue, model_validator

from schemas.base import Config, Name
from schemas.config.claims import BASE, Claim, listed, variants_of
from schemas.errors import nearest


def _no_seed(override: str) -> str:
    if override.partition("=")[0].strip() == "seed":
        raise ValueError(f"{override!r}: list seeds under `seeds`, which pairs the runs by them")
    return override


Override = Annotated[str, Field(pattern=r"^[^=\s]+\s*="), AfterValidator(_no_seed)]
"""A setting of the recipe as the command line's `--set` takes it: `method.tau=0.4`."""
Seeds = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]


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
            for name in variants_of(claim.test):
                yield f"claims.{index}", name
        for index, group in enumerate(self.groups):
            for name in group.variants:
                yield f"groups.{index}", name


def _each_once(what: str, names: Iterable[str]) -> None:
    names = list(names)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{what}: expected each once, but twice or more: {listed(twice)}")
