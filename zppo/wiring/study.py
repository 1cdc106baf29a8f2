"""The runs of a study: what they share, and each of them."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from schemas.config.run import RunConfig, Runtime
from schemas.run import RunRecord
from zppo.layout import RunPaths
from zppo.progress import Advance, Progress, Quiet, SecondsLeft
from zppo.runs import run_names
from zppo.stores.identity import digest
from zppo.stores.local import LocalStore
from zppo.study.grid import PlannedRun, StudyPlan

# Models, engines and MLflow are imported where they are used: the flow names these functions, its workers
# call them.


def prepare_study(
    plan: StudyPlan, runtime: Runtime, progress: Progress, commit_done: Callable[[], None]
) -> None:
    """Make what the runs share, once: the prepared data, the teacher pools, the tracking database.

    Raises:
        StoreError: A model, the data or a template has changed since some of the runs began; the message
            lists what.
        InputError: A recipe cannot be run.
    """
    from zppo.tracking.client import connect
    from zppo.wiring.context import open_run
    from zppo.wiring.precompute import run_precompute
    from zppo.wiring.prepare import run_prepare
    from zppo.wiring.registry import mlflow_uri

    _check_pins(plan, runtime)
    progress = _EachLineOnce(progress)
    if warning := check_study_space(plan, runtime):
        progress.say(warning)
    connect(mlflow_uri(runtime))
    for planned in _one_of_each_pool(plan):
        with open_run(planned.recipe, planned.name, runtime, progress) as run:
            run_prepare(run)
            commit_done()
            run_precompute(run)
            commit_done()


def check_study_space(plan: StudyPlan, runtime: Runtime) -> str:
    """Hold the runs that have not begun against what is free on the disk, as `check_space` does."""
    from zppo.plan.space import check_space

    begun = set(run_names(runtime.home))
    new = [planned.recipe for planned in plan.runs if planned.name not in begun]
    return check_space(new, runtime.home) if new else ""


def train_run(
    study: str, planned: PlannedRun, runtime: Runtime, progress: Progress, commit_done: Callable[[], None]
) -> None:
    """Train one run to its last round and keep its record; goes on where it stopped."""
    from zppo.study.collecting import collect_run
    from zppo.study.records import write_record
    from zppo.wiring.context import open_run
    from zppo.wiring.precompute import run_precompute
    from zppo.wiring.prepare import run_prepare
    from zppo.wiring.reuse import prepared_before, say_reuse
    from zppo.wiring.tracking import tracking
    from zppo.wiring.train import open_training

    with open_run(planned.recipe, planned.name, runtime, Quiet()) as run:
        commit_done()
        before = prepared_before(run)
        run_prepare(run)
        pool = run_precompute(run)
        run.progress = progress
        if run.committed_rounds():
            say_reuse(run, before)
        with tracking(run) as tracker:
            if run.committed_rounds() < run.config.rounds:
                with open_training(run, tracker) as trainer:
                    trainer.validate_base()
                    commit_done()
                    for index in trainer.remaining():
                        trainer.collect(index)
                        commit_done()
                        trainer.update(index)
                        commit_done()
        parents = [run.committed(path) for path in (run.paths.update(run.config.rounds), pool) if path]
        write_record(run.store, study, planned, parents, lambda: collect_run(run.store, planned, pool))


def _check_pins(plan: StudyPlan, runtime: Runtime) -> None:
    """Hold every run that has begun against what would begin now: all runs of a study start from the same."""
    from zppo.wiring.context import new_record, run_identity

    store = LocalStore(runtime.home)
    pinned: dict[str, RunRecord] = {}
    for planned in plan.runs:
        paths, config = RunPaths(planned.name), planned.recipe
        if store.read(paths.manifest) is not None:
            key = digest(config.model_dump(mode="json", include={"student", "teacher", "data", "promotion"}))
            if key not in pinned:
                pinned[key] = new_record(config, planned.name, runtime)
            record = pinned[key].model_copy(update={"name": planned.name, "recipe": config})
            store.find(paths.manifest, run_identity(record))


def _one_of_each_pool(plan: StudyPlan) -> list[PlannedRun]:
    """Runs that between them read every prepared data set and every teacher pool."""
    chosen: dict[str, PlannedRun] = {}
    for planned in plan.runs:
        chosen.setdefault(_pool_key(planned.recipe), planned)
    return list(chosen.values())


def _pool_key(config: RunConfig) -> str:
    """Equal for runs that surely share data and pool; what differs only in training is left out."""
    apart = {"seed", "rounds", "learner", "validation", "evaluation", "checkpoints", "promotion"}
    return digest(config.model_dump(mode="json", exclude=apart))


class _EachLineOnce:
    """Progress of many runs that find the same: what one has said need not be said again."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._said: set[str] = set()

    def say(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self._progress.say(line)

    def track(
        self, title: str, total: int, done: int = 0, left: SecondsLeft | None = None
    ) -> AbstractContextManager[Advance]:
        return self._progress.track(title, total, done, left)
