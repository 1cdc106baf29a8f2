"""The head of the report: what was run; and its first table."""

from collections.abc import Iterator, Sequence

from schemas.config.claims import ClaimMeasure
from schemas.study import StudyRun
from zppo.core.study.estimates import Estimate
from zppo.core.study.measures import measure
from zppo.core.study.records import Cell
from zppo.progress import clock_text
from zppo.study.report.provenance import Provenance
from zppo.study.report.view import View
from zppo.study.report.words import NOTHING, count, estimate, plural, seconds, share, table

BASE_TITLE = "base student"


def head(view: View, provenance: Provenance) -> Iterator[str]:
    """Title, description, and how the runs came about."""
    runs = view.records.ordered()
    study, spent = view.study, sum(run.curve[-1].seconds for run in runs)
    yield from (f"# {study.title}", "")
    if study.description:
        yield from (study.description.strip(), "")
    yield from ("## What was run", "")
    yield f"- {_extent(view, runs)}"
    yield f"- Seeds: {_seeds(runs)}."
    yield f"- Recipe: `{study.recipe}`" + "".join(f", `{setting}`" for setting in study.set) + "."
    yield f"- Time: {clock_text(spent)} of collecting and updating, summed over the runs{_wall(provenance)}."
    yield f"- Command: `{provenance.command}`"
    yield f"- Machine: {provenance.machine}."
    yield "- Versions: " + ", ".join(f"{name} {version}" for name, version in provenance.versions) + "."
    yield from ("", *_reading(view))


def main_table(view: View) -> Iterator[str]:
    """Every variant at its end, by cell, under the base student."""
    yield from ("", "## Results", "")
    yield (
        "Accuracy at the end of training, on held-out questions of the training sources and on the sources "
        "that are only evaluated (out of distribution). Rollouts, tokens and seconds are means over seeds."
    )
    yield from _overview(view)
    headings = ("variant", "seeds", "held out", "out of distribution", "rollouts", "student tokens")
    for cell in view.records.cells:
        yield from cell_heading(view, cell)
        rows = [
            _base_row(view, cell),
            *(_row(view, variant.title, runs) for variant, runs in view.present(cell)),
        ]
        yield from table((*headings, "teacher tokens", "seconds", "teacher's accuracy"), rows)


def _overview(view: View) -> Iterator[str]:
    """Held-out accuracy alone, variants against cells; only where there are several cells."""
    cells = view.records.cells
    if len(cells) < 2:
        return

    def held_out(variant: str, cell: Cell) -> str:
        return estimate(over_seeds(view, view.runs(variant, cell), "accuracy"))

    yield from ("", f"Held out, by {' and '.join(factor.title for factor in view.study.factors)}:", "")
    names = [
        variant for variant in view.study.variants if any(view.runs(variant.name, cell) for cell in cells)
    ]
    rows = ((variant.title, *(held_out(variant.name, cell) for cell in cells)) for variant in names)
    base = (BASE_TITLE, *(estimate(base_estimates(view, cell)[0]) for cell in cells))
    yield from table(("variant", *map(", ".join, cells)), [base, *rows])


def settings_table(view: View) -> Iterator[str]:
    """What each variant sets."""
    yield from ("", "## Settings of the variants", "")
    yield from table(
        ("variant", "name", "settings"),
        (
            (
                variant.title,
                f"`{variant.name}`",
                ", ".join(f"`{setting}`" for setting in variant.set) or NOTHING,
            )
            for variant in view.study.variants
        ),
        words=3,
    )


def cell_heading(view: View, cell: Cell) -> Iterator[str]:
    """The factors' values above a table of one cell."""
    yield ""
    if cell:
        yield from (f"**{view.cell_title(cell)}**", "")


def over_seeds(view: View, runs: Sequence[StudyRun], name: ClaimMeasure) -> Estimate | None:
    """Mean of a measure over the seeds that have it."""
    values = [value for run in runs if (value := measure(run, name)) is not None]
    return view.bootstrap.estimate(values)


def base_estimates(view: View, cell: Cell) -> tuple[Estimate | None, Estimate | None]:
    """Accuracy of the base student over the cell's seeds, in and out of distribution."""
    points = [run.curve[0] for run in view.records.base(cell).values()]
    outside = [point.out_of_distribution for point in points if point.out_of_distribution is not None]
    return view.bootstrap.estimate([point.accuracy for point in points]), view.bootstrap.estimate(outside)


def _base_row(view: View, cell: Cell) -> tuple[str, ...]:
    inside, outside = base_estimates(view, cell)
    seeds = str(len(view.records.base(cell)))
    return (BASE_TITLE, seeds, estimate(inside), estimate(outside), *[NOTHING] * 5)


def _row(view: View, title: str, runs: Sequence[StudyRun]) -> tuple[str, ...]:
    inside, outside, teacher = (
        over_seeds(view, runs, name) for name in ("accuracy", "out_of_distribution", "teacher_accuracy")
    )
    costs = [over_seeds(view, runs, name) for name in ("rollouts", "student_tokens", "teacher_tokens")]
    spent = over_seeds(view, runs, "seconds")
    return (
        title,
        str(len(runs)),
        estimate(inside),
        estimate(outside),
        *(count(cost.mean) if cost else NOTHING for cost in costs),
        seconds(spent.mean) if spent else NOTHING,
        share(teacher.mean if teacher else None),
    )


def _extent(view: View, runs: Sequence[StudyRun]) -> str:
    """`120 runs of 80 rounds: 12 variants x 2 values of student`."""
    rounds = sorted({run.curve[-1].round for run in runs})
    lengths = " or ".join(map(str, rounds))
    variants = plural(len({run.variant for run in runs}), "variant")
    factors = "".join(
        f" × {plural(len(factor.values), 'value')} of {factor.title}" for factor in view.study.factors
    )
    return f"{plural(len(runs), 'run')} of {lengths} rounds: {variants}{factors}, times seeds."


def _seeds(runs: Sequence[StudyRun]) -> str:
    seeds = sorted({run.seed for run in runs})
    consecutive = seeds == list(range(seeds[0], seeds[-1] + 1)) and len(seeds) > 2
    return f"{seeds[0]} to {seeds[-1]}" if consecutive else ", ".join(map(str, seeds))


def _wall(provenance: Provenance) -> str:
    return "" if provenance.seconds is None else f"; {clock_text(provenance.seconds)} of wall time in all"


def _reading(view: View) -> Iterator[str]:
    yield (
        f"Brackets hold {view.study.confidence:.0%} percentile bootstrap intervals over seeds "
        f"({view.study.bootstrap_resamples:,} resamples). Of few seeds such an interval is rather too "
        "narrow: see how many there are, and in how many of them a difference is above zero. One seed has no "
        "interval."
    )
