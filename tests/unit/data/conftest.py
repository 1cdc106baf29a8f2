"""Recipes and files for the tests of data preparation."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from schemas.config.data import DataConfig, FilesSource
from schemas.prepared import PreparedData
from schemas.question import Question
from zppo.data.table import read_questions
from zppo.stages.prepare import prepare

Prepared = tuple[PreparedData, dict[str, list[Question]]]
Prepare = Callable[..., Prepared]


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any] | bytes]) -> Path:
    lines = (row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows)
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def prepare_rows(
    sources: Mapping[str, Iterable[Mapping[str, Any] | bytes]],
    *,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int = 0,
    **config: Any,
) -> Prepared:
    """Prepare JSONL sources from rows; `settings` are of one source, `config` of the whole data set."""
    with TemporaryDirectory() as folder:
        named = tuple(
            FilesSource(
                name=name,
                paths=(str(write_jsonl(Path(folder) / f"{name}.jsonl", rows)),),
                **(settings or {}).get(name, {}),
            )
            for name, rows in sources.items()
        )
        limits = {"validation_questions": 0, "test_questions": 0, "max_bad_rows": 1.0, **config}
        out = Path(folder) / "out"
        out.mkdir()
        report = prepare(DataConfig(sources=named, **limits), seed, len, 4096, out)
        splits = ("train", "validation", "test")
        return report, {split: list(read_questions(out / f"{split}.parquet")) for split in splits}


@pytest.fixture(scope="session")
def prepare_questions() -> Prepare:
    return prepare_rows


@pytest.fixture(scope="session")
def jsonl() -> Callable[..., Path]:
    return write_jsonl
