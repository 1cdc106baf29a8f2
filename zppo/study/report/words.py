"""How the report writes numbers, estimates and tables."""

from collections.abc import Iterable, Sequence
from fractions import Fraction

from schemas.study import Axis
from zppo.core.study.estimates import Estimate

NOTHING = "–"
UNITS: dict[Axis, str] = {"rounds": "rounds", "rollouts": "rollouts", "seconds": "seconds"}


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> list[str]:
    """A Markdown table; the first `words` columns hold words, the others are aligned as numbers."""
    rule = ["---"] * words + ["---:"] * (len(headings) - words)
    return [_row(headings), _row(rule), *map(_row, rows)]


def _row(values: Sequence[str]) -> str:
    return "| " + " | ".join(value.replace("|", "\\|") for value in values) + " |"


def share(value: float | None) -> str:
    """Three decimals."""
    return NOTHING if value is None else f"{value:.3f}"


def count(value: float) -> str:
    """Whole, with thousands apart."""
    return f"{value:,.0f}"


def seconds(value: float) -> str:
    """To a tenth below a hundred."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def estimate(value: Estimate | None, sign: str = "") -> str:
    """`0.512 [0.480, 0.544]`; the mean alone with one seed.

    Args:
        value: None where nothing was measured.
        sign: `+` writes the sign of differences.
    """
    if value is None:
        return NOTHING
    text = f"{value.mean:{sign}z.3f}"
    if value.interval is None:
        return text
    return f"{text} [{value.interval.low:{sign}z.3f}, {value.interval.high:{sign}z.3f}]"


def difference(value: Estimate | None) -> str:
    """`**+0.031 [+0.010, +0.052]** 5/5`: bold where the interval excludes zero, then seeds above zero."""
    if value is None:
        return NOTHING
    text = estimate(value, "+")
    clear = value.above_zero or value.below_zero
    return f"{f'**{text}**' if clear else text} {value.positive}/{value.count}"


def amount(value: float, axis: Axis) -> str:
    """`80 rounds`, `20,480 rollouts`, `31.2 seconds`."""
    return f"{seconds(value) if axis == 'seconds' else count(value)} {UNITS[axis]}"


def accuracy_fraction(value: float) -> str:
    """`0`, `1/8`, `1/4`: accuracies of groups are fractions."""
    return str(Fraction(value).limit_denominator(64))


def plural(number: int, noun: str) -> str:
    """`1 seed`, `5 seeds`."""
    return f"{number:,} {noun}{'s' * (number != 1)}"
