"""Whether a repeated run has anything new to learn from, and which student it starts from."""

from pathlib import Path
from typing import Literal

from schemas.config.run import RunConfig, Runtime
from schemas.manifest import Identity
from schemas.prepared import InputDigest
from schemas.run import RunRecord
from zppo.data.sources import input_digests, pin_revisions
from zppo.layout import RunPaths, shared
from zppo.runs import finished_summary, read_run, run_names
from zppo.stores.identity import fingerprint, identify
from zppo.stores.local import LocalStore
from zppo.tracking.registry import CHAMPION
from zppo.wiring.prepare import read_prepared
from zppo.wiring.registry import open_registry

Start = Literal["champion", "base"]
"""`champion`: the registered champion, and the recipe's own student as long as there is none; `base`: always
the recipe's own student."""


def starting_from(config: RunConfig, start: Start, runtime: Runtime) -> RunConfig:
    """The recipe with the student that a repeated run starts from."""
    if start == "base" or open_registry(runtime).champion(config.promotion.registered_model) is None:
        return config
    student = config.student.model_copy(update={"model": CHAMPION, "revision": None})
    return config.model_copy(update={"student": student})


def unchanged_since(config: RunConfig, series: str, start: Start, runtime: Runtime) -> str | None:
    """The last finished run of a series, if it learned from the same data by the same recipe.

    Args:
        config: The recipe.
        series: What the names of the series begin with, before a hyphen.
        start: With `champion`, who that is makes no difference: a champion has learned from this data.
        runtime: The machine.

    Returns:
        Its name; None where something is new, or no run of the series is finished.
    """
    last = _last_finished(runtime.home, series)
    if last is None:
        return None
    data = pin_revisions(config.data)
    now = _content(config.model_copy(update={"data": data}), input_digests(data), start)
    return last.name if fingerprint(now) == fingerprint(_content_of(last, start, runtime.home)) else None


def _last_finished(home: Path, series: str) -> RunRecord | None:
    """By name, which ends in a date."""
    names = [name for name in run_names(home) if name.startswith(f"{series}-")]
    finished = (name for name in reversed(names) if finished_summary(home, name) is not None)
    return next((read_run(home, name) for name in finished), None)


def _content_of(record: RunRecord, start: Start, home: Path) -> Identity:
    """What a finished run learned from."""
    store, paths = LocalStore(home), RunPaths(record.name)
    evaluation = store.read(paths.evaluation)
    assert evaluation is not None, "a finished run has an evaluation"
    (data,) = [each.fingerprint for each in evaluation.identity.parents if each.stage == "prepare"]
    inputs = read_prepared(store, shared("prepare", data)).inputs
    content = _content(record.recipe.model_copy(update={"data": record.data}), inputs, start)
    return content.model_copy(update={"method_version": evaluation.identity.method_version})


def _content(config: RunConfig, inputs: tuple[InputDigest, ...], start: Start) -> Identity:
    student = config.student
    if start == "champion":
        student = student.model_copy(update={"model": CHAMPION, "revision": None})
    return identify(
        "series",
        {
            "recipe": config.model_copy(update={"student": student}),
            "inputs": [digest.model_dump(mode="json") for digest in inputs],
        },
    )
