"""The prepare stage of a run."""

import time
from collections.abc import Callable

from schemas.prepared import PreparedData
from schemas.question import Split
from zppo.data.sources import input_digests
from zppo.layout import shared
from zppo.progress import LINE_SECONDS
from zppo.rendering import templates_digest
from zppo.stages.prepare import prepare
from zppo.stores.artifacts import read_artifact
from zppo.stores.identity import fingerprint, identify
from zppo.stores.local import LocalStore
from zppo.wiring.context import RunContext
from zppo.wiring.grader import gradability, judges_free_form

SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def run_prepare(run: RunContext) -> str:
    """Prepare the data set of a run, or find it prepared; returns its path in the store."""
    return run.once("prepare", _prepare)


def read_prepared(store: LocalStore, path: str) -> PreparedData:
    """The report of a prepared data set."""
    return read_artifact(store, path, "report.json", PreparedData)


def _prepare(run: RunContext) -> str:
    config = run.config
    data = run.record.data
    limit = config.sampling.max_prompt_tokens
    identity = identify(
        "prepare",
        {
            "data": data,
            "inputs": [digest.model_dump(mode="json") for digest in input_digests(data)],
            "tokenizer": run.student.tokenizer_digest,
            "templates": templates_digest(config.student.templates),
            "max_prompt_tokens": limit,
            **({"free_form": "judged"} if judges_free_form(config) else {}),
        },
    )
    path = shared("prepare", fingerprint(identity))
    if run.store.find(path, identity) is None:
        with run.store.commit(path, identity) as staging:
            report = prepare(
                data,
                data.seed,
                run.count_prompt_tokens,
                limit,
                staging.directory,
                _rows_read(run),
                gradability(config),
            )
        run.progress.say(f"prepare     {_counts(report)}")
    else:
        run.progress.say(f"prepare     {_counts(read_prepared(run.store, path))}, reused")
    return path


def _rows_read(run: RunContext) -> Callable[[str, int], None]:
    """A line every few seconds: how many rows a source has, nobody knows before the last one is read."""
    shown = time.monotonic()

    def say(source: str, rows: int) -> None:
        nonlocal shown
        if time.monotonic() - shown >= LINE_SECONDS:
            shown = time.monotonic()
            run.progress.say(f"prepare     {source}: {rows:,} rows read")

    return say


def _counts(report: PreparedData) -> str:
    train, validation, test = (f"{report.questions(split):,}" for split in SPLITS)
    bad = sum(source.bad_rows for source in report.sources)
    removed = sum(removal.count for source in report.sources for removal in source.removed)
    return (
        f"{train} training, {validation} validation, {test} test questions; "
        f"{removed:,} removed, {bad:,} bad rows"
    )
