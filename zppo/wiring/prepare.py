"""The prepare stage of a run."""

from pathlib import Path

from schemas.prepared import PreparedData
from schemas.question import Split
from zppo.data.sources import input_digests, pin_revisions
from zppo.data.table import read_questions
from zppo.graders.rules import check_gradable
from zppo.layout import shared
from zppo.rendering import templates_digest
from zppo.stages.prepare import prepare
from zppo.stores.identity import fingerprint, identify
from zppo.wiring.context import RunContext

SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def run_prepare(run: RunContext) -> str:
    """Prepare the data set of a run, or find it prepared; returns its path in the store."""
    config = run.config
    data = pin_revisions(config.data)
    limit = config.sampling.max_prompt_tokens
    identity = identify(
        "prepare",
        {
            "data": data,
            "seed": config.seed,
            "inputs": [digest.model_dump(mode="json") for digest in input_digests(data)],
            "tokenizer": run.student.tokenizer_digest,
            "templates": templates_digest(config.student.templates),
            "max_prompt_tokens": limit,
        },
    )
    path = shared("prepare", fingerprint(identity))
    if run.store.find(path, identity) is None:
        with run.store.commit(path, identity) as staging:
            report = prepare(data, config.seed, run.count_prompt_tokens, limit, staging.directory)
            for split in SPLITS:
                check_gradable(read_questions(staging.directory / f"{split}.parquet"))
        run.progress.say(f"prepare     {_counts(report)}")
    else:
        run.progress.say(f"prepare     {_counts(read_prepared(run.store.file(path, 'report.json')))}, reused")
    return path


def read_prepared(path: Path) -> PreparedData:
    """The report of a prepared data set."""
    return PreparedData.model_validate_json(path.read_bytes())


def _counts(report: PreparedData) -> str:
    train, validation, test = (f"{report.questions(split):,}" for split in SPLITS)
    bad = sum(source.bad_rows for source in report.sources)
    removed = sum(removal.count for source in report.sources for removal in source.removed)
    return (
        f"{train} training, {validation} validation, {test} test questions; "
        f"{removed:,} removed, {bad:,} bad rows"
    )
