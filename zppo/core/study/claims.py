"""Claims held against the runs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, assert_never

from schemas.config.claims import BASE, BetweenTest, Claim, DifferenceTest, InteractionTest, NotTestable
from schemas.study import StudyRun
from zppo.core.study.differences import Contrast, Term, contrast, equal_amount, reader
from zppo.core.study.estimates import FEWEST, Bootstrap
from zppo.core.study.measures import measure
from zppo.core.study.records import Cell, Records

Outcome = Literal["holds", "contradicted", "not_shown", "not_testable"]
"""`contradicted`: the interval lies on the other side of zero, or outside the range; `not_shown`: it
contains zero, or a bound of the range."""


@dataclass(frozen=True)
class Verdict:
    """What a cell of the study says of a claim."""

    claim: Claim
    cell: Cell | None
    """None where no cell can test it."""
    outcome: Outcome
    contrast: Contrast | None = None
    """The figures: a difference, a mean, or a difference of differences."""
    amount: float | None = None
    """What all sides were given, in the axis' unit; None where whole runs are measured."""
    reason: str = ""
    """Why it cannot be tested."""


def judge(records: Records, bootstrap: Bootstrap) -> Iterator[Verdict]:
    """A verdict on every claim in every cell, in the study's order."""
    for claim in records.study.claims:
        if isinstance(claim.test, NotTestable):
            yield Verdict(claim, None, "not_testable", reason=claim.test.reason)
            continue
        for cell in records.cells:
            yield _verdict(claim, cell, records, bootstrap)


def _verdict(claim: Claim, cell: Cell, records: Records, bootstrap: Bootstrap) -> Verdict:
    amount, terms = _terms(claim, cell, records)
    found = contrast(terms, bootstrap)
    seeds = found.estimate.count if found.estimate else 0
    if seeds < FEWEST:
        reason = f"{seeds} seed{'s' * (seeds != 1)} with every value that it needs; {FEWEST} are the fewest"
        return Verdict(claim, cell, "not_testable", found, amount, reason)
    return Verdict(claim, cell, _outcome(claim, found), found, amount)


def _outcome(claim: Claim, found: Contrast) -> Outcome:
    """Where the interval of a contrast lies."""
    assert found.estimate is not None
    assert found.estimate.interval is not None
    interval, test = found.estimate.interval, claim.test
    if isinstance(test, BetweenTest):
        if test.low <= interval.low and interval.high <= test.high:
            return "holds"
        return "contradicted" if interval.high < test.low or interval.low > test.high else "not_shown"
    if found.estimate.above_zero:
        return "holds"
    return "contradicted" if found.estimate.below_zero else "not_shown"


def _terms(claim: Claim, cell: Cell, records: Records) -> tuple[float | None, list[Term]]:
    """What a claim adds up, and the equal amount at which it does."""
    match claim.test:
        case BetweenTest() as test:
            return None, [Term(1.0, records.of(test.variant, cell), _of_whole_runs(test))]
        case DifferenceTest() as test:
            return _difference(test, cell, records)
        case InteractionTest() as test:
            sides = [records.of(name, cell) for name in (test.both, test.first, test.second, test.neither)]
            amount = equal_amount(sides, test.axis)
            read = reader(test.axis, amount or 0.0, test.measure)
            weights = (1.0, -1.0, -1.0, 1.0)
            return amount, [Term(weight, side, read) for weight, side in zip(weights, sides, strict=True)]
        case NotTestable():
            raise AssertionError("has no figures")
        case unknown:
            assert_never(unknown)


def _difference(test: DifferenceTest, cell: Cell, records: Records) -> tuple[float | None, list[Term]]:
    """Larger less smaller, one of which may be the base student, which costs nothing."""
    sides = [(1.0, test.larger), (-1.0, test.smaller)]
    if test.measure not in ("accuracy", "out_of_distribution"):
        read = _of_whole_runs(test)
        return None, [Term(weight, records.of(name, cell), read) for weight, name in sides]
    trained = [records.of(name, cell) for _, name in sides if name != BASE]
    amount = equal_amount(trained, test.axis)
    read = reader(test.axis, amount or 0.0, test.measure)
    return amount, [
        Term(weight, trained[0], reader("rounds", 0.0, test.measure))
        if name == BASE
        else Term(weight, records.of(name, cell), read)
        for weight, name in sides
    ]


def _of_whole_runs(test: BetweenTest | DifferenceTest) -> Callable[[StudyRun], float | None]:
    return lambda run: measure(run, test.measure, test.entry_accuracy)
