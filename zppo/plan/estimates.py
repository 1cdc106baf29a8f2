"""One figure of a plan, with its arithmetic."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import Literal

Unit = Literal["tokens", "bytes", "FLOP", "seconds", "money"]
Factor = tuple[str, float]
"""What is multiplied, and its value."""


@dataclass(frozen=True)
class Estimate:
    """One figure and where it comes from."""

    what: str
    value: float
    unit: Unit
    how: str
    """The arithmetic."""


@dataclass(frozen=True)
class Work:
    """Tokens that a model reads and writes."""

    prompts: tuple[Estimate, ...] = ()
    responses: tuple[Estimate, ...] = ()

    def __add__(self, other: "Work") -> "Work":
        """Both."""
        return Work(self.prompts + other.prompts, self.responses + other.responses)

    @property
    def lines(self) -> tuple[Estimate, ...]:
        """All of it, prompts and the responses to them in turn."""
        return tuple(each for pair in zip(self.prompts, self.responses, strict=True) for each in pair)

    @property
    def tokens(self) -> float:
        """Read and written."""
        return total(self.lines)

    def response(self, what: str) -> float:
        """Tokens of the responses of that name; 0 where there are none."""
        return total(each for each in self.responses if each.what == what)


def product(what: str, unit: Unit, *factors: Factor) -> Estimate:
    """The estimate that is the product of named factors."""
    how = " * ".join(f"{figure(factor)} ({name})" for name, factor in factors)
    return Estimate(what, float(prod(factor for _, factor in factors)), unit, how)


def asked(what: str, prompts: Iterable[Factor], responses: Iterable[Factor]) -> Work:
    """Prompts and the responses to them, each as a product."""
    return Work(
        (product(f"{what}: prompts", "tokens", *prompts),),
        (product(f"{what}: responses", "tokens", *responses),),
    )


def total(estimates: Iterable[Estimate]) -> float:
    """Their sum."""
    return sum(estimate.value for estimate in estimates)


def figure(value: float) -> str:
    """Whole numbers in full, others with six digits."""
    return f"{value:,.0f}" if value == round(value) or value >= 1e5 else f"{value:,.6g}"
