"""A study as a Prefect flow: what its runs share, every run, the report.

One run is one task; it happens in a worker process, several at a time. The store decides what is done, so
the same command goes on where another stopped.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue

from prefect import Task, flow, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture

from flows.artifacts import progress_of, show_summary
from flows.cancelling import cancelled_at_the_end, watch_for_cancel
from flows.crashed import mark_crashed, tagged, untagged
from flows.outages import Window, wait_for_server
from flows.servers import flow_server
from flows.workers import Worker, start_workers
from schemas.config.run import Runtime
from zppo.errors import ZppoError
from zppo.layout import RunPaths, StudyPaths
from zppo.progress import Progress, choose_progress
from zppo.stages.train import committed_rounds
from zppo.stores.local import LocalStore
from zppo.stores.locks import exclusive
from zppo.study.board import Board, show_board
from zppo.study.grid import PlannedRun, StudyPlan, command, load_plan
from zppo.study.pace import Tally
from zppo.study.records import WallTime, check_unmixed, commit_report, read_records, report_text
from zppo.wiring.study import prepare_study, train_run

LOOK_SECONDS = 1.0
"""Longest wait between two looks at signals and cancellation."""


def run_study(study: str, name: str, jobs: int, runtime: Runtime, again: str | None = None) -> None:
    """Run what is left of a study against the configured Prefect server, or one of this process's own.

    Args:
        study: A shipped study, or the path of one.
        name: Of the study in the home.
        jobs: Runs at a time.
        runtime: The machine.
        again: The command that goes on with it, for errors; by default one without the machine's options.
    """
    stands = f"what is committed stays; go on with: {again or command(study, name, jobs)}"
    directory = runtime.home / StudyPaths(name).root
    with flow_server(runtime.home, lambda: stands), tagged(directory), cancelled_at_the_end():
        study_flow(study, name, jobs, runtime)


@flow(name="zppo-study", flow_run_name="study {name}")
def study_flow(study: str, name: str, jobs: int, runtime: Runtime) -> None:
    """From the grid to the report.

    Args:
        study: A shipped study, or the path of one.
        name: Of the study in the home.
        jobs: Runs at a time.
        runtime: The machine.

    Raises:
        ZppoError: Runs failed; it names them, and all others are done.
    """
    plan, progress = load_plan(study, name), choose_progress()
    check_unmixed(plan, runtime.home)
    directory = runtime.home / StudyPaths(name).root
    with exclusive(directory), untagged():
        mark_crashed(directory)
        clock = WallTime(runtime.home, name)
        try:
            failures = _run_left(plan, runtime, jobs, progress, clock)
        finally:
            clock.keep()
        if failures:
            raise ZppoError(_failed(plan, failures))
        made_by = command(study, name, jobs)
        wait_for_server()  # a study that has its report does not come back to be shown as finished
        _task("report", partial(commit_report, plan, runtime.home, made_by, clock.seconds))()
    text = report_text(plan, runtime.home)
    show_summary(name, text)
    progress.say(f"\n{text}")


def _run_left(
    plan: StudyPlan, runtime: Runtime, jobs: int, progress: Progress, clock: WallTime
) -> Mapping[str, str]:
    """Every run that is not finished; returns the errors of those that failed, by name."""
    records = read_records(plan, runtime.home)
    left = [run for run in plan.runs if run.name not in records]
    failures: dict[str, str] = {}
    if not left:
        return failures
    with start_workers(min(jobs, len(left))) as workers:
        share = partial(prepare_study, plan, runtime)
        _task("prepare", partial(workers[0].do, share, progress))()
        store = LocalStore(runtime.home)
        begun = {run.name: committed_rounds(store, RunPaths(run.name)) for run in left}
        tally = Tally(plan, records, begun, jobs)
        show_progress, window = progress_of(plan.name, tally.rounds, tally.rounds_done), Window(progress)
        with show_board(tally, progress) as board:
            for run, error in _train(plan.name, left, runtime, workers, board):
                if error is not None:
                    failures[run.name] = error
                board.end(run, error)
                clock.keep()
                window.show(partial(show_progress, tally.rounds_done))
    return failures


def _train(
    study: str, left: Iterable[PlannedRun], runtime: Runtime, workers: Iterable[Worker], board: Board
) -> Iterator[tuple[PlannedRun, str | None]]:
    """Give each run to the next free worker; yields the runs as they end, with an error where one failed."""
    waiting = deque(left)
    ended: SimpleQueue[tuple[PlannedRun, Worker, PrefectFuture[None]]] = SimpleQueue()
    stop_if_cancelled = watch_for_cancel()

    def start_next(worker: Worker) -> int:
        if not waiting:
            return 0
        run = waiting.popleft()
        work = partial(worker.do, partial(train_run, study, run, runtime), board.of(run))
        _task(run.name, work).submit().add_done_callback(lambda future: ended.put((run, worker, future)))
        return 1

    running = sum(map(start_next, workers))
    while running:
        stop_if_cancelled()
        with suppress(Empty):
            run, worker, future = ended.get(timeout=LOOK_SECONDS)
            running += start_next(worker) - 1
            yield run, _error(future)


def _task(title: str, work: Callable[[], object]) -> Task[[], None]:
    """A piece of work as a Prefect task, so that it shows."""

    def execute() -> None:
        work()

    return task(name=title, task_run_name=title, cache_policy=NO_CACHE)(execute)


def _error(future: PrefectFuture[None]) -> str | None:
    """What went wrong in a run, None for one that finished."""
    try:
        future.result()
    except ZppoError as error:
        return str(error)
    return None


def _failed(plan: StudyPlan, failures: Mapping[str, str]) -> str:
    listed = "\n".join(f"  {name}: {error}" for name, error in failures.items())
    return (
        f"{len(failures)} of the {len(plan.runs)} runs of the study {plan.name!r} failed, and there is no "
        f"report yet:\n{listed}\nThe others are done. The same command tries these again"
    )
