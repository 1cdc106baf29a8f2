"""What a home's Prefect server has recorded."""

import sqlite3
from contextlib import closing
from pathlib import Path


def recorded(home: Path, query: str) -> list[tuple[str, ...]]:
    """Rows of Prefect's database."""
    with closing(sqlite3.connect(f"file:{home / 'prefect' / 'prefect.db'}?mode=ro", uri=True)) as database:
        return [tuple(map(str, row)) for row in database.execute(query)]


def flow_runs(home: Path) -> list[tuple[str, ...]]:
    """Name and state of every flow run, the oldest first."""
    return recorded(home, "select name, state_type from flow_run order by expected_start_time")


def task_runs(home: Path) -> list[tuple[str, ...]]:
    """Name and state of every task run, the oldest first."""
    return recorded(home, "select name, state_type from task_run order by expected_start_time")


def artifact_keys(home: Path) -> set[str]:
    """Keys of the artifacts."""
    return {key for (key,) in recorded(home, "select distinct key from artifact")}
