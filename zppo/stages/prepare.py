"""Prepare: sources -> train, validation and test splits, with a report that loses no row.

One pass over the rows. Each goes through the rules into a database on disk; then the splits are drawn and
written. Memory is that database's page cache and a few rows, whatever the size of the data.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

from schemas.config.data import DataConfig, SourceConfig
from schemas.prepared import PreparedData, SourceReport
from schemas.question import Question, Split
from zppo.data.accounts import EXAMPLES, Quarantine, Tally
from zppo.data.duplicates import Admission
from zppo.data.mapping import read_entry, reading_of
from zppo.data.rows import BadRow, Entry, excerpt
from zppo.data.rules import CountTokens, Limits, broken_limit, limits_of, share
from zppo.data.sources import input_digests, pin_revisions, read_rows
from zppo.data.staging import Staging
from zppo.data.table import write_questions
from zppo.errors import InputError

Progress = Callable[[str, int], None]
"""Told now and then: the source, and how many of its rows are read. May raise to stop the stage."""

Problem = Callable[[Question], str | None]

_PROGRESS_ROWS = 1000
_HOPELESS_ROWS = 1000
"""A source whose first rows are all bad is not read further, whatever its limit."""
_CACHE_SHARE = 0.2
"""Of the memory limit, for pages of the database; what one batch of large rows needs is in the rest."""
_INDEX_SHARE = 0.15
"""Of the memory limit, for the index of near duplicates."""


@dataclass
class _Books:
    """What became of a source's rows so far."""

    quarantine: Quarantine
    tally: Tally = field(default_factory=Tally)
    rows: int = 0


def prepare(
    config: DataConfig,
    seed: int,
    count_prompt_tokens: CountTokens,
    max_prompt_tokens: int,
    out: Path,
    progress: Progress | None = None,
    problem: Problem = lambda question: None,
) -> PreparedData:
    """Write `train.parquet`, `validation.parquet`, `test.parquet`, `report.json` and `quarantine/`.

    The same inputs, configuration and seed give the same files. Splits are drawn by a hash of seed and
    question id, so that they do not depend on the order of the rows.

    Args:
        config: The data set of the recipe.
        seed: The run's seed.
        count_prompt_tokens: Tokens of the whole plain prompt of a question's text.
        max_prompt_tokens: Questions with a longer prompt are dropped.
        out: An empty directory; scratch files come and go in it as well.
        progress: Told how far the reading is.
        problem: Why the run's grader could not grade a question, or None; such a row is a bad row.

    Raises:
        InputError: Too many bad rows, too few questions for the splits, or a source that cannot be read.
    """
    config = pin_revisions(config)
    inputs = input_digests(config)
    cache_bytes, index_bytes = (
        int(config.memory_limit_mb * part) << 20 for part in (_CACHE_SHARE, _INDEX_SHARE)
    )
    with (
        TemporaryDirectory(dir=out) as scratch,
        Staging(Path(scratch) / "staging.sqlite", seed, cache_bytes) as staging,
    ):
        evaluation = [source for source in config.sources if source.role == "evaluate"]
        training = [source for source in config.sources if source.role == "train"]
        names = [source.name for source in evaluation]
        admission = Admission(staging, config.near_duplicates, names, index_bytes)
        books: dict[str, _Books] = {}
        for source in evaluation + training:
            books[source.name] = _Books(Quarantine(out / "quarantine", source.name))
            limits = limits_of(source, config, count_prompt_tokens, max_prompt_tokens)
            _take_in(source, config, limits, admission, books[source.name], progress, problem)
            _cap(source, staging, admission, books[source.name])
        _draw_splits(config, training, staging, books)
        for split in get_args(Split):
            write_questions(out / f"{split}.parquet", staging.questions(split))
        sources = tuple(_report(source, books[source.name], staging) for source in config.sources)
    report = PreparedData(inputs=inputs, sources=sources)
    (out / "report.json").write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return report


def _take_in(
    source: SourceConfig,
    config: DataConfig,
    limits: Limits,
    admission: Admission,
    books: _Books,
    progress: Progress | None,
    problem: Problem,
) -> None:
    """Let the questions of a source into the staging database, by the rules."""
    for entry in _entries(source, config, books, problem):
        verdict = broken_limit(entry.question, limits) or admission.admit(entry, source.role)
        if verdict is not None:
            books.tally.add(entry, verdict)
        if progress is not None and books.rows % _PROGRESS_ROWS == 0:
            progress(source.name, books.rows)
    if books.quarantine.count > config.max_bad_rows * books.rows:
        raise _too_many_bad_rows(books, config.max_bad_rows)
    if progress is not None:
        progress(source.name, books.rows)


def _entries(source: SourceConfig, config: DataConfig, books: _Books, problem: Problem) -> Iterator[Entry]:
    """The questions of a source; its bad rows go into quarantine."""
    reading = reading_of(source)
    for row in read_rows(source):
        books.rows += 1
        entry = row if isinstance(row, BadRow) else read_entry(row, reading, config.max_text_characters)
        if isinstance(entry, Entry) and (reason := problem(entry.question)):
            entry = BadRow(entry.place, reason, excerpt(entry.question.answer))
        if isinstance(entry, Entry):
            yield entry
            continue
        books.quarantine.put(entry)
        if books.quarantine.count == books.rows == _HOPELESS_ROWS:
            raise _too_many_bad_rows(books, config.max_bad_rows)


def _too_many_bad_rows(books: _Books, limit: float) -> InputError:
    bad = books.quarantine
    examples = "; ".join(f"{row.file} line {row.line}: {row.reason}" for row in bad.examples)
    return InputError(
        f"source {bad.source!r}: {bad.count:,} of {books.rows:,} rows are bad, and data.max_bad_rows allows "
        f"a share of {limit:g}. First: {examples}. Repair the rows, correct the source's `fields`, or raise "
        "data.max_bad_rows"
    )


def _cap(source: SourceConfig, staging: Staging, admission: Admission, books: _Books) -> None:
    """Cut a source to its cap, so that a later source may bring what falls off."""
    if source.max_questions is not None:
        split: Split = "test" if source.role == "evaluate" else "train"
        discarded = staging.keep(source.name, split, source.max_questions, "cap", EXAMPLES)
        books.tally.add_discarded("source_cap", discarded)
        if discarded.count:
            admission.forget_the_gone()


def _draw_splits(
    config: DataConfig, training: Sequence[SourceConfig], staging: Staging, books: Mapping[str, _Books]
) -> None:
    """Test, then validation, out of all training questions; the rest trains, by weight up to `max_train`."""
    names = [source.name for source in training]
    held_out = config.test_questions + config.validation_questions
    left = sum(staging.count(name, "train") for name in names)
    if left <= held_out:
        raise InputError(
            f"{left:,} questions of the training sources passed the rules ({_losses(names, books)}), but "
            f"data.test_questions + data.validation_questions take {held_out:,} and training needs at least "
            "one: lower them, or give more data"
        )
    staging.move(config.test_questions, "test")
    staging.move(config.validation_questions, "validation")
    if config.max_train is None:
        return
    available = {name: staging.count(name, "train") for name in names}
    weights = {source.name: source.weight for source in training}
    for name, limit in share(available, weights, config.max_train).items():
        discarded = staging.keep(name, "train", limit, "draw", EXAMPLES)
        books[name].tally.add_discarded("max_train", discarded)


def _losses(names: Sequence[str], books: Mapping[str, _Books]) -> str:
    counts: Counter[str] = Counter()
    for name in names:
        counts["rows"] += books[name].rows
        counts["bad"] += books[name].quarantine.count
        counts.update({removal.rule: removal.count for removal in books[name].tally.removals()})
    return ", ".join(f"{rule} {count:,}" for rule, count in counts.items())


def _report(source: SourceConfig, books: _Books, staging: Staging) -> SourceReport:
    return SourceReport(
        name=source.name,
        role=source.role,
        rows=books.rows,
        bad_rows=books.quarantine.count,
        bad_examples=tuple(books.quarantine.examples),
        removed=books.tally.removals(),
        kinds=staging.kinds(source.name),
    )
