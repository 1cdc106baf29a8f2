"""One figure of a plan, with its arithmetic."""

from dataclasses import dataclass
from math import prod
from typing import Literal

Unit = Literal["tokens", "bytes", "FLOP", "seconds"]
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


def product(what: str, unit: Unit, *factors: Factor) -> Estimate:
    """The estimate that is the product of named factors."""
    how = " * ".join(f"{factor:,.0f} ({name})" for name, factor in factors)
    return Estimate(what, float(prod(factor for _, factor in factors)), unit, how)
