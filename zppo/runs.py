"""The runs of a home directory: their names, their recipes and how far they are."""

import re
from pathlib import Path

from pydantic import ValidationError

from schemas.config.run import RunConfig
from schemas.errors import explain, nearest
from schemas.evaluation import Evaluation, Role
from schemas.report import RoundTimings, StepReport
from schemas.run import RunRecord, RunState, RunStatus
from zppo.errors import InputError, StoreError
from zppo.layout import RESERVED, RunPaths, StudyPaths
from zppo.stages.timings import read_timings
from zppo.stages.train import committed_rounds, read_report
from zppo.stores.artifacts import read_artifact
from zppo.stores.identity import changes, identify
from zppo.stores.local import MANIFEST, LocalStore
from zppo.stores.locks import holder

RUN_FILE = "run.json"
"""In the artifact `RunPaths.manifest`; holds a `RunRecord`."""
SUMMARY, PICTURE, PAGE = "summary.md", "accuracy.png", "report.html"
"""In the artifact `RunPaths.summary`."""
EVALUATION = "evaluation.json"
"""In the artifact `RunPaths.evaluation`; holds an `Evaluation`."""
DECISION = "decision.json"
"""In the artifact `RunPaths.promotion`; holds a `PromotionDecision`."""
_OF_STUDY = re.compile(r".+\.s\d+")
"""What follows the study in the name of one of its runs: the variant and the seed."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def check_name(name: str) -> str:
    """The name, if it can name a run: it becomes a directory and a name in the tracking server."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} cannot name a run: expected a letter or digit, then at most 99 letters, digits, "
            "dots, underscores or hyphens"
        )
    if name in RESERVED:
        raise InputError(f"{name!r} cannot name a run: it is kept for the store; choose another --name")
    return name


def run_names(home: Path) -> list[str]:
    """The runs below `home`, by name."""
    found = home.glob(f"{RunPaths('*').manifest}/{MANIFEST}")
    return sorted(manifest.parent.parent.name for manifest in found)


def read_run(home: Path, name: str) -> RunRecord:
    """The recipe of an existing run; `InputError` when there is none of that name."""
    store, path = LocalStore(home), RunPaths(check_name(name)).manifest
    if store.read(path) is None:
        names = run_names(home)
        known = nearest(name, names) if names else "there are no runs yet"
        raise InputError(f"no run {name!r} under {home}; {known}")
    file = store.file(path, RUN_FILE)
    try:
        return RunRecord.model_validate_json(file.read_bytes())
    except ValidationError as error:
        problems = "; ".join(explain(error, RunRecord))
        raise StoreError(f"{file} is of another version of zppo ({problems}): use that version") from error


def read_run_to_resume(home: Path, name: str) -> RunRecord:
    """The same for a run to go on with; one of a study is refused: the study does only part of its work."""
    record, (study, _, place) = read_run(home, name), name.partition(".")
    if _OF_STUDY.fullmatch(place) and (home / StudyPaths(study).root).is_dir():
        raise InputError(
            f"{name!r} is a run of the study {study!r}, which trains its runs and neither evaluates nor "
            f"promotes them: resume the study instead, with the command that began it: zppo study {study}"
        )
    return record


def check_recipe(home: Path, name: str, recipe: RunConfig) -> None:
    """Refuse to go on with a run under another recipe than it began with; `InputError` lists what differs."""
    if LocalStore(home).read(RunPaths(check_name(name)).manifest) is None:
        return
    before = read_run(home, name).recipe
    if before != recipe:
        old, new = (identify("run", {"recipe": each}) for each in (before, recipe))
        listed = "\n".join(f"  {change}" for change in changes(old, new))
        raise InputError(
            f"the run {name!r} began with another recipe (then -> now):\n{listed}\n"
            f"Choose another --name; or go on as it began with: zppo resume {name}; or try the change from "
            f"one of its rounds: zppo fork {name} --as NEW --at-round K --set KEY=VALUE"
        )


def finished_summary(home: Path, name: str) -> str | None:
    """The summary of a finished run, None where work is left."""
    store, path = LocalStore(home), RunPaths(name).summary
    manifest = store.read(path)
    if manifest is None:
        return None
    text = f"{store.file(path, SUMMARY).read_text()}\nPicture: {store.file(path, PICTURE)}"
    if all(file.path != PAGE for file in manifest.files):
        return text  # a run of an earlier version: `zppo report` writes its page
    return f"{text}\nReport: {store.file(path, PAGE)}"


def status(home: Path, name: str) -> RunStatus:
    """How far a run is, from its committed artifacts alone."""
    record = read_run(home, name)
    store, paths, recipe = LocalStore(home), RunPaths(name), record.recipe
    done = committed_rounds(store, paths)
    shown = [index for index in range(1, done + 1) if index == done or _validated(record, index)]
    reports = [read_report(store, paths, index) for index in shown]
    held = holder(home / paths.root)
    evaluation = _evaluation(store, paths)
    return RunStatus(
        name=name,
        state=run_state(
            held=held is not None,
            trained=done == recipe.rounds,
            evaluated=evaluation is not None,
            finished=store.read(paths.summary) is not None,
        ),
        process=held.pid if held else None,
        host=held.host if held else None,
        method=recipe.method.type,
        student=recipe.student.model,
        rounds_done=done,
        rounds=recipe.rounds,
        seconds_left=_seconds_left(store, paths, done, recipe.rounds),
        plain_accuracy=_plain_accuracy(reports),
        validation=tuple(
            (report.round, report.validation.accuracy) for report in reports if report.validation is not None
        ),
        checkpoints=tuple(int(Path(path).name) for path in store.committed(paths.checkpoints)),
        base_accuracy=_held_out(evaluation, "base"),
        student_accuracy=_held_out(evaluation, "student"),
    )


def last_rounds(home: Path, name: str, count: int = 5) -> list[tuple[StepReport, RoundTimings]]:
    """The last committed rounds of a run, in order."""
    store, paths = LocalStore(home), RunPaths(name)
    done = committed_rounds(store, paths)
    return [
        (read_report(store, paths, index), read_timings(store, paths, index))
        for index in range(max(1, done - count + 1), done + 1)
    ]


def _validated(record: RunRecord, index: int) -> bool:
    """Whether a round has a validation, as every round does after which a checkpoint is due."""
    if record.fork is not None and index <= record.fork.round:
        return _validated(record.fork.parent, index)
    return index % record.recipe.checkpoints.every == 0 or index == record.recipe.rounds


def run_state(*, held: bool, trained: bool, evaluated: bool, finished: bool) -> RunState:
    """The state of a run, from whether a process holds it and from what it has committed."""
    if held:
        return "running"
    if finished:
        return "finished"
    if trained:
        return "trained"
    return "evaluated" if evaluated else "stopped"


def _plain_accuracy(reports: list[StepReport]) -> float | None:
    plain = reports[-1].of_kind("plain") if reports else None
    return plain.accuracy if plain else None


def _evaluation(store: LocalStore, paths: RunPaths) -> Evaluation | None:
    if store.read(paths.evaluation) is None:
        return None
    return read_artifact(store, paths.evaluation, EVALUATION, Evaluation)


def _held_out(evaluation: Evaluation | None, role: Role) -> float | None:
    model = evaluation.of_role(role) if evaluation else None
    return model.in_distribution.accuracy if model else None


def _seconds_left(store: LocalStore, paths: RunPaths, done: int, rounds: int) -> float | None:
    """From the mean distance of the last commits, so that the pauses of a stopped run fade out."""
    last = map(paths.update, range(max(1, done - 9), done + 1))
    recent = [manifest for path in last if (manifest := store.read(path)) is not None]
    if len(recent) < 2 or done >= rounds:
        return None
    span = recent[-1].provenance.created - recent[0].provenance.created
    return max(0.0, span.total_seconds()) / (len(recent) - 1) * (rounds - done)
