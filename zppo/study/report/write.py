"""Writes the report: `report.md`, its tables as files, and its figures."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from schemas.config.study import StudyConfig
from schemas.study import StudyRun
from zppo.core.study.claims import judge
from zppo.core.study.differences import Difference, differences
from zppo.study.report.details import detail_sections, group_table
from zppo.study.report.files import write_files
from zppo.study.report.findings import claims_section, difference_tables
from zppo.study.report.opening import head, main_table, settings_table
from zppo.study.report.provenance import Provenance
from zppo.study.report.view import View

REPORT, FIGURES = "report.md", "figures"
_FILES = {
    "runs": ("csv", "parquet"),
    "curves": ("csv", "parquet"),
    "summary": ("csv",),
    "differences": ("csv",),
}

Captions = dict[str, str]
"""Of the figures that were drawn, by name."""


def write_report(
    study: StudyConfig, runs: Sequence[StudyRun], directory: Path, provenance: Provenance
) -> None:
    """Write everything; the same runs give the same bytes.

    Args:
        study: What the runs belong to; variants, cells and seeds may be missing.
        runs: At least one.
        directory: Empty; gets `report.md`, CSV and Parquet files, and `figures/`.
        provenance: Of the runs.
    """
    if not runs:
        raise ValueError("expected at least one finished run, got none: there is nothing to report")
    view = View.of(study, runs)
    found = list(differences(view.records, view.bootstrap))
    write_files(view, found, directory)
    captions = _draw(view, found, directory / FIGURES)
    text = "\n".join(_text(view, found, captions, provenance))
    (directory / REPORT).write_text(text + "\n", encoding="utf-8")


def _text(
    view: View, found: Sequence[Difference], captions: Captions, provenance: Provenance
) -> Iterator[str]:
    yield from head(view, provenance)
    yield from main_table(view)
    yield from difference_tables(view, found)
    yield from _shown(captions, "differences")
    yield from claims_section(view, list(judge(view.records, view.bootstrap)))
    yield from _groups(view, captions)
    yield from ("", "## What training was made of")
    yield from detail_sections(view)
    yield from settings_table(view)
    yield from _index(captions)


def _groups(view: View, captions: Captions) -> Iterator[str]:
    for group in view.groups:
        yield from ("", f"## {group.title}", *(("", group.description.strip()) if group.description else ()))
        yield from group_table(view, group)
        yield from _shown(captions, f"{group.name}-accuracy-over-rounds")


def _shown(captions: Captions, name: str) -> Iterator[str]:
    """A figure in its place, where it was drawn."""
    if name in captions:
        yield from ("", f"![{captions[name]}]({FIGURES}/{name}.png)")


def _index(captions: Captions) -> Iterator[str]:
    yield from ("", "## All figures and files", "")
    for name, caption in captions.items():
        yield f"- {caption}: [PNG]({FIGURES}/{name}.png), [SVG]({FIGURES}/{name}.svg)"
    yield ""
    for name, suffixes in _FILES.items():
        yield "- " + ", ".join(f"[`{name}.{suffix}`]({name}.{suffix})" for suffix in suffixes)


def _draw(view: View, found: Sequence[Difference], directory: Path) -> Captions:
    """Draw and save every figure; returns their captions."""
    # Here, not above: matplotlib takes a second to import.
    from zppo.study.report.figures import draw
    from zppo.study.report.figures.style import save, style

    directory.mkdir()
    captions: Captions = {}
    with style():
        for picture in draw(view, found):
            save(picture, directory)
            captions[picture.name] = picture.caption
    return captions
