"""What a study keeps in the home: a record of every finished run, and the report."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from schemas.manifest import Identity, Manifest
from schemas.study import StudyRun
from zppo import __version__
from zppo.errors import InputError
from zppo.layout import RunPaths, StudyPaths
from zppo.runs import read_run
from zppo.stores.artifacts import read_artifact
from zppo.stores.identity import changes, identify
from zppo.stores.local import LocalStore
from zppo.study.grid import PlannedRun, StudyPlan
from zppo.study.report import provenance, write_report
from zppo.study.report.write import REPORT

RECORD = "record.json"
"""In the artifact `StudyPaths.record`; holds a `StudyRun`."""
RunName = str


def check_unmixed(plan: StudyPlan, home: Path) -> None:
    """Refuse to go on with a study whose recipes changed after some of its runs had begun.

    New variants, values and seeds are welcome, since they change no run that there is.

    Raises:
        InputError: It names every changed setting and how many runs have it otherwise.
    """
    counted: Counter[str] = Counter()
    begun = [run for run in plan.runs if LocalStore(home).read(RunPaths(run.name).manifest) is not None]
    before = {run.name: read_run(home, run.name).recipe for run in begun}
    changed = [run for run in begun if run.recipe != before[run.name]]
    for run in changed:
        old, new = (identify("run", {"recipe": each}) for each in (before[run.name], run.recipe))
        counted.update(map(str, changes(old, new)))
    if changed:
        listed = "\n".join(f"  {change}  ({runs} runs)" for change, runs in counted.items())
        raise InputError(
            f"{len(changed)} of the {len(begun)} runs of the study {plan.name!r} that have begun were begun "
            f"with another recipe (then -> now):\n{listed}\nRuns of two recipes are not compared: undo the "
            "change, name what changed a new variant, or give the study another --name"
        )


def read_records(plan: StudyPlan, home: Path) -> dict[RunName, StudyRun]:
    """The records of all runs that are finished."""
    store, paths = LocalStore(home), StudyPaths(plan.name)
    return {
        run.name: read_artifact(store, paths.record(run.name), RECORD, StudyRun)
        for run in plan.runs
        if store.read(paths.record(run.name)) is not None
    }


def write_record(
    store: LocalStore,
    study: str,
    planned: PlannedRun,
    parents: Sequence[Manifest],
    collect: Callable[[], StudyRun],
) -> None:
    """Commit what `collect` finds out about a finished run, where that has not been done.

    Args:
        store: Of the home.
        study: The study's name.
        planned: The run.
        parents: The run's last round, and its teacher pool where it has one.
        collect: Reads the run.
    """
    path = StudyPaths(study).record(planned.name)
    identity = identify("study-run", {"run": planned.name}, parents)
    if store.find(path, identity) is None:
        with store.commit(path, identity) as staging:
            (staging.directory / RECORD).write_text(collect().model_dump_json(indent=1))


class WallTime:
    """Seconds that the sittings of a study took together."""

    def __init__(self, home: Path, study: str) -> None:
        """A new sitting begins."""
        self._store, self._path = LocalStore(home), StudyPaths(study).wall_time
        self._began = time.monotonic()
        file = self._store.home / self._path
        self._before = float(file.read_text()) if file.exists() else 0.0

    @property
    def seconds(self) -> float:
        """All sittings, this one up to now."""
        return self._before + time.monotonic() - self._began

    def keep(self) -> None:
        """Write it down; a sitting that is killed counts up to here."""
        self._store.write_file(self._path, f"{self.seconds:.1f}\n".encode())


def find_report(plan: StudyPlan, home: Path) -> Path | None:
    """The directory of the report on exactly this study and these runs; None where work is left."""
    store, path = LocalStore(home), StudyPaths(plan.name).report
    manifest = store.read(path)
    if manifest is None or any(
        store.read(StudyPaths(plan.name).record(run.name)) is None for run in plan.runs
    ):
        return None
    return store.home / path if manifest.identity == _report_identity(plan, store) else None


def commit_report(plan: StudyPlan, home: Path, command: str, seconds: float) -> None:
    """Write the report, in place of one on an earlier state of the study.

    Args:
        plan: All of its runs are finished.
        home: Of the store.
        command: What ran the study.
        seconds: Wall time of all sittings.
    """
    if find_report(plan, home) is not None:
        return
    store, path = LocalStore(home), StudyPaths(plan.name).report
    records = read_records(plan, home)
    runs = [records[run.name] for run in plan.runs]
    if store.read(path) is not None:
        store.remove(path)
    with store.commit(path, _report_identity(plan, store)) as staging:
        write_report(plan.study, runs, staging.directory, provenance(command, seconds))


def report_text(plan: StudyPlan, home: Path) -> str:
    """What a terminal shows of the report: its main table, and where the rest is."""
    file = LocalStore(home).file(StudyPaths(plan.name).report, REPORT)
    _, _, results = file.read_text(encoding="utf-8").partition("\n## Results\n")
    table, _, _ = results.partition("\n## ")
    return f"# {plan.study.title}\n{table.rstrip()}\n\nReport: {file}"


def _report_identity(plan: StudyPlan, store: LocalStore) -> Identity:
    manifests = (store.read(StudyPaths(plan.name).record(run.name)) for run in plan.runs)
    parents = [manifest for manifest in manifests if manifest is not None]
    return identify("study-report", {"study": plan.study, "version": __version__}, parents)
