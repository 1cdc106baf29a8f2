"""A whole pipeline small enough for tests: its recipe, its command, and what a run of it computed."""

import hashlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, TextIO
from unittest.mock import patch

import yaml

from schemas.config.run import RunConfig, Runtime
from zppo.recipes import load_recipe

ROOT = Path(__file__).parents[1]
NAME = "tiny"
ROUNDS = 5
RECIPE = {
    "student": {"model": "pocket/student", "templates": "pocket"},
    "teacher": {
        "type": "model",
        "model": {"model": "pocket/teacher", "templates": "pocket"},
        "max_response_tokens": 16,
    },
    "data": {
        "sources": [
            {"name": "chains", "type": "pocket", "lengths": [3], "count": 44},
            {"name": "long", "type": "pocket", "role": "evaluate", "lengths": [4], "count": 8, "seed": 1},
        ],
        "validation_questions": 6,
        "test_questions": 8,
        "near_duplicates": {"enabled": False},
    },
    "method": {
        "type": "zppo",
        "group_size": 4,
        "teacher_group_size": 2,
        "iterations": 2,
        "replay_fraction": 0.5,
        "augment_fraction": 1.0,
        "buffer_capacity": 3,
        "compression": {"type": "extractive", "max_tokens": 16},
    },
    "rounds": ROUNDS,
    "questions_per_round": 4,
    "sampling": {"max_prompt_tokens": 64, "max_response_tokens": 16},
    "learner": {"learning_rate": 3e-4, "warmup_updates": 2, "weight_decay": 0.0},
    "evaluation": {
        "decoding": {
            "temperature": 1.0,
            "top_p": 1.0,
            "top_k": 0,
            "presence_penalty": 0.0,
            "max_response_tokens": 16,
        },
        "bootstrap_resamples": 100,
    },
    "checkpoints": {"every": 2},
}
"""Chains of three operations, which 16 tokens suffice for; every kind of prompt comes up in every round."""


def write_recipe(directory: Path) -> Path:
    """The recipe as a file, named so that its run is called `NAME`."""
    file = directory / f"{NAME}.yaml"
    file.write_text(yaml.safe_dump(RECIPE))
    return file


def recipe(directory: Path, *overrides: str) -> RunConfig:
    """The recipe as the command line loads it."""
    return load_recipe(str(write_recipe(directory)), overrides)


def start(
    *arguments: str,
    home: Path,
    environment: Mapping[str, str] | None = None,
    output: int | TextIO = subprocess.PIPE,
) -> "subprocess.Popen[str]":
    """The command `zppo` on a home, in a process group of its own, without anything from this environment."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "MLFLOW_"))}
    return subprocess.Popen(
        [sys.executable, "-m", "zppo", *arguments, "--home", str(home)],
        cwd=ROOT,
        env={**kept, "OMP_NUM_THREADS": "1", **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        text=True,
        start_new_session=True,
        # A job in the background, as a build server may start these tests, ignores Ctrl-C; its children too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )


def zppo(
    *arguments: str, home: Path, environment: Mapping[str, str] | None = None, timeout: float = 200.0
) -> "subprocess.CompletedProcess[str]":
    """The command `zppo` on a home, run to its end."""
    process = start(*arguments, home=home, environment=environment)
    output, errors = process.communicate(timeout=timeout)
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def run_without_prefect(
    config: RunConfig, home: Path, name: str = NAME, machine: Runtime | None = None
) -> None:
    """The product's own flow, its Prefect tasks and artifacts taken away."""
    import flows.pipeline

    def unseen(*_: object) -> Callable[[int], None]:
        return lambda _: None

    artifacts: dict[str, Any] = dict.fromkeys(
        ("mark_crashed", "progress_of", "show_rounds", "show_summary", "wait_for_server"), unseen
    )
    artifacts["watch_for_cancel"] = lambda: lambda: None  # it would ask a server about a run without a flow
    with patch.multiple(flows.pipeline, as_task=lambda _, work, *inputs: work(*inputs), **artifacts):
        flows.pipeline.pipeline.fn(config, name, machine or Runtime(home=home))


def results(home: Path, name: str = NAME) -> dict[str, str]:
    """Everything that a finished run computed, by name: digests of its files, and what MLflow shows of it.

    Left out is what differs between two equal runs: times, ids and package versions.
    """
    files = [file for folder in (name, "store") for file in (home / folder).rglob("*.*") if file.is_file()]
    found = {str(file.relative_to(home)): content(file) for file in files if _is_promised(file)}
    found |= {
        f"fingerprint of {file.parent.relative_to(home)}": fingerprint(file)
        for file in files
        if file.name == "manifest.json"
    }
    return found | tracked(home)


def differences(first: Mapping[str, str], second: Mapping[str, str]) -> list[str]:
    """Names of the results that differ, or that one run lacks."""
    return sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))


def first_difference(found: Mapping[str, str], expected: Mapping[str, str]) -> str | None:
    """The first result, in the order in which a run makes them, that is not as expected; None if all are."""
    names = differences(found, expected)
    if not names:
        return None
    first = min(names, key=_position)
    values = f"{found.get(first, 'nothing')!r} instead of {expected.get(first, 'nothing')!r}"
    return f"{first} is {values}" + (f"; {len(names) - 1} more differ" if len(names) > 1 else "")


def _position(name: str) -> tuple[int, int, bool, str]:
    """Stage, then round, a round before its checkpoint; what MLflow shows comes last."""
    place = name.replace("/checkpoints", "/rounds")
    stage = next((index for index, each in enumerate(_STAGES) if f"/{each}" in place), len(_STAGES))
    number = re.search(r"/rounds/(\d+)", place)
    return stage, int(number[1]) if number else 0, place != name, name


_STAGES = ("prepare", "precompute", "run", "base", "rounds", "answers", "evaluate", "promote", "summary")
_CIRCUMSTANCES = (
    "manifest.json",  # the time of its commit and the versions of packages; its fingerprint is compared
    "timings.json",  # nothing but seconds
    "cost.json",  # seconds, and money for what a crash lost
    "run.lock",  # the process that held it last
    "report.html",  # shows the seconds of every round and when it was written
)
"""Files that may differ between two equal runs."""


def _is_promised(file: Path) -> bool:
    return not any(file.match(pattern) for pattern in _CIRCUMSTANCES)


def content(file: Path) -> str:
    """The SHA-256 of a file, or of what is left of it without its seconds."""
    data = file.read_bytes()
    if file.name == "summary.md":
        lines = data.splitlines(keepends=True)
        data = b"".join(line for line in lines if not line.startswith(b"Time of the rounds:"))
    elif file.match("precompute/*/report.json"):
        report = json.loads(data)
        del report["seconds"]  # of drawing, over all processes that drew
        data = json.dumps(report).encode()
    return hashlib.sha256(data).hexdigest()


def fingerprint(manifest: Path) -> str:
    """What the artifact of a manifest file was made from."""
    return str(json.loads(manifest.read_bytes())["manifest"]["fingerprint"])


def tracked(home: Path) -> dict[str, str]:
    """What MLflow's database and its files hold, times and ids left out; a name that comes up twice shows
    its count.
    """
    with closing(sqlite3.connect(f"file:{home / 'mlflow.db'}?mode=ro", uri=True)) as database:
        rows = [row for query in TRACKED for row in database.execute(query)]
        runs = database.execute("select name, run_uuid from runs").fetchall()
    for name, run in runs:
        rows += _logged(name, home / "mlartifacts" / run / "artifacts")
    times = Counter(name for name, _ in rows)
    return {(name if times[name] == 1 else f"{times[name]} times {name}"): str(value) for name, value in rows}


TRACKED = (
    # Seconds are measured anew in every process.
    "select 'metric ' || key || ' at ' || step, iif(is_nan, 'nan', value) from metrics"
    " where key not like 'seconds/%'",
    "select 'latest value of ' || key, iif(is_nan, 'nan', value) from latest_metrics"
    " where key not like 'seconds/%'",
    "select 'latest step of ' || key, step from latest_metrics",
    "select 'parameter ' || key, value from params",
    "select 'run ' || name, status from runs",
    "select 'stage of run ' || name, lifecycle_stage from runs",
    # The key holds the time at which the run began.
    "select 'tag of run ' || runs.name || ' ' || key, value from tags join runs using (run_uuid)"
    " where key != 'zppo.key'",
    "select 'data ' || name || ' ' || digest, dataset_source from datasets",
    "select 'input of run ' || runs.name || ' ' || datasets.name || ' ' || digest, step from inputs"
    " join runs on destination_id = run_uuid join datasets on source_id = dataset_uuid",
    "select 'experiment ' || name, lifecycle_stage from experiments",
    "select 'tag of experiment ' || name || ' ' || key, value from experiment_tags"
    " join experiments using (experiment_id)",
    "select 'model ' || name, description from registered_models",
    "select 'tag of model ' || name || ' ' || key, value from registered_model_tags",
    "select 'alias ' || name || ' ' || alias, version from registered_model_aliases",
    "select 'version ' || name || ' ' || version, current_stage from model_versions",
    "select 'status of version ' || name || ' ' || version, status from model_versions",
    # Before it lie the home and the id of the run.
    "select 'files of version ' || name || ' ' || version, substr(source, instr(source, '/artifacts/'))"
    " from model_versions",
    "select 'tag ' || name || ' ' || version || ' ' || key, value from model_version_tags",
)
"""Of each row of MLflow's tables a name and a value. Never asked for are times, ids, users and hosts."""


def _logged(run: str, artifacts: Path) -> list[tuple[str, str]]:
    """Files that a run keeps in MLflow, by their places in it; MLflow itself lists no unfinished uploads."""
    return [
        (f"artifact of run {run} {file.relative_to(artifacts)}", content(file))
        for file in sorted(artifacts.rglob("*"))
        if file.is_file() and _is_promised(file) and not file.name.startswith(".artifact.uploading.")
    ]
