"""Tables of what training was made of: the buffer, the batches, the advantages, BCQ and NCQ."""

from collections.abc import Callable, Iterator, Sequence

from schemas.config.claims import ClaimMeasure
from schemas.config.study import VariantGroup
from schemas.study import StudyRun
from zppo.core.statistics import mean
from zppo.core.study.buffer import MANY_VISITS, Counts, fates_by_visits, graduations
from zppo.core.study.measures import entry_accuracies
from zppo.core.study.rounds import PARTS, Part, composition
from zppo.study.report.opening import cell_heading, over_seeds
from zppo.study.report.view import View
from zppo.study.report.words import NOTHING, accuracy_fraction, estimate, seconds, share, table

Row = Callable[[Sequence[StudyRun]], Sequence[str] | None]
"""The values of a variant's runs in one cell; None where the table has nothing to say of them."""

PART_TITLES: dict[Part, str] = {
    "new": "plain, new",
    "replayed": "plain, replayed",
    "bcq": "BCQ",
    "ncq": "NCQ",
    "hint": "hint",
    "prefix": "prefix",
    "extra": "extra plain",
}
_ADVANTAGES: dict[ClaimMeasure, str] = {
    "zero_advantage": "groups without a spread",
    "positive_advantage": "rollouts with a positive advantage",
}
_BCQ: dict[ClaimMeasure, str] = {
    "bcq_accuracy": "accuracy",
    "bcq_correct_candidate": "answer of the correct candidate",
    "bcq_wrong_candidate": "of the wrong one",
    "bcq_neither": "of neither",
    "bcq_correct_first": "correct one shown first",
    "bcq_accuracy_correct_first": "accuracy then",
    "bcq_accuracy_correct_second": "accuracy otherwise",
}
_NCQ: dict[ClaimMeasure, str] = {
    "ncq_accuracy": "accuracy",
    "ncq_repeats_listed": "repeats a listed answer",
    "ncq_matches_teacher": "gives the teacher's answer",
}


def group_table(view: View, group: VariantGroup) -> Iterator[str]:
    """The variants of a group side by side."""
    headings = ("seeds", "held out", "out of distribution", "zero advantage", "graduated", "seconds")

    def row(runs: Sequence[StudyRun]) -> Sequence[str]:
        spent, graduated = over_seeds(view, runs, "seconds"), over_seeds(view, runs, "graduation")
        return (
            str(len(runs)),
            estimate(over_seeds(view, runs, "accuracy")),
            estimate(over_seeds(view, runs, "out_of_distribution")),
            estimate(over_seeds(view, runs, "zero_advantage")),
            share(graduated.mean if graduated else None),
            seconds(spent.mean) if spent else NOTHING,
        )

    yield from _tables(view, headings, row, group.variants)


def detail_sections(view: View) -> Iterator[str]:
    """Every table of this file but those of the groups; one that would be empty is left out."""
    yield from _graduations(view)
    yield from _fates(view)
    yield from _composition(view)
    yield from _section(
        view,
        "Advantages",
        "Means over all rounds. A group whose rewards are all equal has zero advantage and teaches nothing.",
        tuple(_ADVANTAGES.values()),
        _measures(view, tuple(_ADVANTAGES)),
    )
    yield from _section(
        view,
        "BCQ: what the student made of the candidates",
        "Over the last quarter of the rounds. The candidates' order is balanced where the correct one is "
        "shown first half of the time.",
        tuple(_BCQ.values()),
        _measures(view, tuple(_BCQ)),
    )
    yield from _section(
        view,
        "NCQ: what the student made of the wrong answers",
        "Over the last quarter of the rounds. The prompt does not show the teacher's answer.",
        tuple(_NCQ.values()),
        _measures(view, tuple(_NCQ)),
    )


def _graduations(view: View) -> Iterator[str]:
    accuracies = entry_accuracies(view.records.ordered())

    def row(runs: Sequence[StudyRun]) -> Sequence[str] | None:
        found = {each.entry_accuracy: each for each in graduations(runs, view.bootstrap)}
        if not found:
            return None
        shares = (
            f"{estimate(each.share)} ({each.counts.graduated}/{each.counts.entries})" if each else NOTHING
            for each in map(found.get, accuracies)
        )
        return (*shares, estimate(over_seeds(view, runs, "leavers_graduated")))

    yield from _section(
        view,
        "Graduations by entry accuracy",
        "Share of the buffer's entries that graduated, by their plain accuracy when they were admitted: mean "
        "over seeds, in parentheses the counts of all seeds together. Entries still in the buffer at the end "
        "count as not graduated; the last column leaves them out.",
        (*(f"admitted at {accuracy_fraction(accuracy)}" for accuracy in accuracies), "of all that left"),
        row,
    )


def _fates(view: View) -> Iterator[str]:
    def row(runs: Sequence[StudyRun]) -> Sequence[str] | None:
        return [_fate(counts) for counts in fates_by_visits(runs).values()] or None

    visits = [str(number) for number in range(1, MANY_VISITS)]
    yield from _section(
        view,
        "Fate of the buffer's entries by visits",
        "Graduated / evicted / still in the buffer at the end, by the plain groups that the question had "
        "since its admission, the admitting one included; counts of all seeds together.",
        (*visits, f"{MANY_VISITS} or more"),
        row,
    )


def _composition(view: View) -> Iterator[str]:
    found = [composition(runs) for cell in view.records.cells for _, runs in view.present(cell)]
    parts = [part for part in PARTS if any(part in each for each in found)]

    def row(runs: Sequence[StudyRun]) -> Sequence[str] | None:
        own = composition(runs)
        return [f"{mean(own[part]):.1f}" if part in own else NOTHING for part in parts] if own else None

    text = "Mean number of groups a round, by kind of prompt."
    yield from _section(view, "Composition of the batches", text, [PART_TITLES[part] for part in parts], row)


def _fate(counts: Counts) -> str:
    return f"{counts.graduated} / {counts.evicted} / {counts.remaining}" if counts.entries else NOTHING


def _measures(view: View, names: Sequence[ClaimMeasure]) -> Row:
    """A row of measures; none for a variant that has none of them."""

    def row(runs: Sequence[StudyRun]) -> Sequence[str] | None:
        found = [over_seeds(view, runs, name) for name in names]
        return [estimate(each) for each in found] if any(found) else None

    return row


def _section(view: View, title: str, text: str, headings: Sequence[str], row: Row) -> Iterator[str]:
    lines = list(_tables(view, headings, row, [variant.name for variant in view.study.variants]))
    if lines:
        yield from ("", f"### {title}", "", text, *lines)


def _tables(view: View, headings: Sequence[str], row: Row, variants: Sequence[str]) -> Iterator[str]:
    """A table a cell, a row for each of the variants that the table has something to say of."""
    for cell in view.records.cells:
        runs = {variant: view.runs(variant, cell) for variant in variants}
        values = {variant: row(own) for variant, own in runs.items() if own}
        rows = [(view.title(variant), *found) for variant, found in values.items() if found is not None]
        if rows:
            yield from cell_heading(view, cell)
            yield from table(("variant", *headings), rows)
