"""Paired differences and claims."""

from collections.abc import Iterator, Sequence

from schemas.config.claims import (
    BASE,
    BetweenTest,
    Claim,
    ClaimMeasure,
    DifferenceTest,
    InteractionTest,
    NotTestable,
)
from schemas.study import Axis
from zppo.core.study.claims import Outcome, Verdict
from zppo.core.study.differences import AXES, Difference
from zppo.core.study.estimates import Estimate
from zppo.core.study.records import Cell
from zppo.study.report.opening import cell_heading
from zppo.study.report.view import View
from zppo.study.report.words import (
    NOTHING,
    accuracy_fraction,
    amount,
    count,
    difference,
    plural,
    seconds,
    table,
)
from zppo.study.report.words import estimate as estimate_text

VERDICTS: dict[Outcome, str] = {
    "holds": "**holds**",
    "contradicted": "**does not hold**: the opposite",
    "not_shown": "does not hold: not shown",
    "not_testable": "cannot be tested here",
}
_TALLY: dict[Outcome, str] = {
    "holds": "hold",
    "contradicted": "the opposite",
    "not_shown": "not shown",
    "not_testable": "cannot be tested here",
}
MEASURE_TITLES: dict[ClaimMeasure, str] = {
    "accuracy": "held-out accuracy",
    "out_of_distribution": "out-of-distribution accuracy",
    "gain": "gain in held-out accuracy over the base student",
    "out_of_distribution_gain": "gain in out-of-distribution accuracy over the base student",
    "graduation": "share of the buffer's entries that graduated",
    "leavers_graduated": "share of the entries leaving the buffer that graduated",
    "zero_advantage": "share of groups with zero advantage",
    "positive_advantage": "share of rollouts with a positive advantage",
    "bcq_accuracy": "BCQ accuracy",
    "bcq_correct_candidate": "BCQ answers of the correct candidate",
    "bcq_wrong_candidate": "BCQ answers of the wrong candidate",
    "bcq_neither": "BCQ answers of neither candidate",
    "bcq_correct_first": "share of BCQ with the correct candidate first",
    "bcq_accuracy_correct_first": "BCQ accuracy with the correct candidate first",
    "bcq_accuracy_correct_second": "BCQ accuracy with the correct candidate second",
    "ncq_accuracy": "NCQ accuracy",
    "ncq_repeats_listed": "NCQ rollouts that repeat a listed answer",
    "ncq_matches_teacher": "NCQ rollouts that give the teacher's answer",
    "teacher_accuracy": "accuracy of the teacher's pool",
    "rollouts": "student rollouts",
    "student_tokens": "student tokens",
    "teacher_tokens": "teacher tokens",
    "seconds": "seconds of collecting and updating",
}
_COUNTS: tuple[ClaimMeasure, ...] = ("rollouts", "student_tokens", "teacher_tokens", "seconds")


def difference_tables(view: View, found: Sequence[Difference]) -> Iterator[str]:
    """Every comparison at equal rounds, rollouts and time, by cell."""
    if not found:
        return
    yield from ("", "## Paired differences", "")
    yield (
        "The same seed on both sides, both given the same amount: the largest that every paired run reached. "
        "Accuracies between two checkpoints are interpolated, nothing is extrapolated. Bold: the interval "
        "excludes zero. `k/n`: above zero in k of n pairs."
    )
    for cell in view.records.cells:
        own = [each for each in found if each.cell == cell]
        if own:
            yield from cell_heading(view, cell)
            headings = (
                "difference",
                "at equal",
                "held out",
                "out of distribution",
                "pairs",
                "unpaired seeds",
            )
            yield from table(headings, _rows(view, own), words=2)


def claims_section(view: View, verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Every claim with its verdict in each cell and the figures that it rests on."""
    if not verdicts:
        return
    yield from ("", "## Claims", "")
    yield (
        "A claim *holds* where the interval lies above zero, or within the claimed range. It does not hold "
        "where the interval lies below zero or outside the range (*the opposite*), and where it contains "
        "zero or a bound of the range (*not shown*)."
    )
    yield ""
    factors = tuple(factor.title for factor in view.study.factors)
    headings = ("", "claim", *factors, "verdict", "figures")
    yield from table(headings, _claim_rows(view, verdicts), words=len(headings))
    yield from ("", _tally(verdicts))


def difference_title(view: View, found: Difference) -> str:
    """`ZPPO − GRPO`."""
    return f"{view.title(found.comparison.better)} − {view.title(found.comparison.baseline)}"


def verdict_figures(view: View, verdict: Verdict) -> str:
    """What a verdict rests on."""
    test = verdict.claim.test
    if verdict.contrast is None or verdict.contrast.estimate is None or isinstance(test, NotTestable):
        return verdict.reason or NOTHING
    estimate = verdict.contrast.estimate
    text = _number(estimate, test.measure, "" if isinstance(test, BetweenTest) else "+")
    parts = [f"{_what(view, test)}: {text}"]
    if isinstance(test, BetweenTest):
        parts.append(
            f"against {_bound(test.low, test)} to {_bound(test.high, test)}, {plural(estimate.count, 'seed')}"
        )
    else:
        parts.append(f"above zero in {estimate.positive} of {plural(estimate.count, 'seed')}")
        if verdict.amount is not None:
            parts.append(f"at {amount(verdict.amount, _axis(test))}")
    if verdict.contrast.dropped:
        parts.append(f"{plural(verdict.contrast.dropped, 'seed')} not on all sides")
    return ", ".join([*parts, *([verdict.reason] if verdict.reason else [])])


def _rows(view: View, found: Sequence[Difference]) -> Iterator[tuple[str, ...]]:
    """One row a comparison and axis, in distribution beside out of distribution."""
    keys = {(each.comparison, each.axis): each for each in found}
    for (comparison, axis), first in keys.items():
        by_measure = {
            each.measure: each.contrast.estimate
            for each in found
            if (each.comparison, each.axis) == (comparison, axis)
        }
        pairs = first.contrast.estimate.count if first.contrast.estimate else 0
        yield (
            difference_title(view, first) if axis == AXES[0] else "",
            amount(first.amount, axis),
            difference(by_measure.get("accuracy")),
            difference(by_measure.get("out_of_distribution")),
            str(pairs),
            str(first.contrast.dropped or NOTHING),
        )


def _claim_rows(view: View, verdicts: Sequence[Verdict]) -> Iterator[tuple[str, ...]]:
    claims = list(view.study.claims)
    before: Claim | None = None
    for verdict in verdicts:
        claim, cell = verdict.claim, verdict.cell
        again = claim is before
        before = claim
        yield (
            "" if again else str(claims.index(claim) + 1),
            "" if again else f"{claim.statement} ({claim.source})",
            *_cell_words(view, cell),
            VERDICTS[verdict.outcome],
            verdict_figures(view, verdict),
        )


def _cell_words(view: View, cell: Cell | None) -> Cell:
    return cell if cell is not None else (NOTHING,) * len(view.study.factors)


def _tally(verdicts: Sequence[Verdict]) -> str:
    outcomes = [verdict.outcome for verdict in verdicts]
    counts = ", ".join(f"{outcomes.count(outcome)} {words}" for outcome, words in _TALLY.items())
    return f"In all {plural(len(outcomes), 'verdict')}: {counts}."


def _axis(test: DifferenceTest | InteractionTest | BetweenTest) -> Axis:
    return "rounds" if isinstance(test, BetweenTest) else test.axis


def _what(view: View, test: BetweenTest | DifferenceTest | InteractionTest) -> str:
    """The quantity in words, such as `held-out accuracy, ZPPO − GRPO`."""
    measure = MEASURE_TITLES[test.measure]
    match test:
        case BetweenTest():
            return f"{measure}{_entry(test.entry_accuracy)}, {view.title(test.variant)}"
        case DifferenceTest():
            sides = (_side(view, test.larger), _side(view, test.smaller))
            return f"{measure}{_entry(test.entry_accuracy)}, {' − '.join(sides)}"
        case InteractionTest():
            names = (test.both, test.first, test.second, test.neither)
            both, first, second, neither = map(view.title, names)
            return f"{measure}, ({both} − {neither}) − ({first} − {neither}) − ({second} − {neither})"


def _side(view: View, name: str) -> str:
    return "the base student" if name == BASE else view.title(name)


def _entry(accuracy: float | None) -> str:
    return "" if accuracy is None else f", admitted at {accuracy_fraction(accuracy)}"


def _number(estimate: Estimate, measure: ClaimMeasure, sign: str) -> str:
    """As `words.estimate`, with whole numbers for counts."""
    if measure not in _COUNTS:
        return estimate_text(estimate, sign)
    write = seconds if measure == "seconds" else count
    text = f"{'+' if sign and estimate.mean > 0 else ''}{write(estimate.mean)}"
    if estimate.interval is None:
        return text
    return f"{text} [{write(estimate.interval.low)}, {write(estimate.interval.high)}]"


def _bound(value: float, test: BetweenTest) -> str:
    return count(value) if test.measure in _COUNTS else f"{value:g}"
