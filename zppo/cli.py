"""The command line. Commands import what they need when they run, so that `--help` answers at once."""

import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from zppo import __version__
from zppo.errors import InputError, ZppoError
from zppo.makers import pocket_app, schema_app
from zppo.operators import register
from zppo.options import RUNS, Device, Home, Machine, Name, Overrides, Recipe, Threads, Told
from zppo.planning import check
from zppo.reporting import report

if TYPE_CHECKING:
    from schemas.config.run import RunConfig
    from zppo.study.grid import StudyPlan

INTERRUPTED, TERMINATED = 130, 143
"""Exit codes of a command that Ctrl-C or SIGTERM ended, as shells have them."""
app = typer.Typer(
    name="zppo", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip
app.add_typer(schema_app, name="schema")
app.add_typer(pocket_app, name="pocket")
app.command()(report)
app.command()(check)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit: 0 done, 1 failed, 2 bad input, 130 interrupted, 143 terminated."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        app(list(arguments), prog_name="zppo")
    except ZppoError as error:
        if "--debug" in arguments:
            raise
        typer.echo(f"zppo: {error}", err=True)
        sys.exit(error.exit_code)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"zppo {__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Post-train a small language model with a teacher in its prompts, never in its gradients."""


@app.command()
def run(
    recipe: Recipe,
    name: Annotated[str | None, typer.Option(help="Name of the run; the recipe's name by default.")] = None,
    overrides: Overrides = None,
    home: Home = RUNS,
    device: Device = None,
    threads: Threads = None,
    machine: Machine = None,
) -> None:
    """Run a recipe from the data to the champion; goes on where an earlier call stopped."""
    from zppo.plan.space import check_space
    from zppo.recipes import load_recipe
    from zppo.runs import check_recipe, run_names

    config = load_recipe(recipe, overrides or ())
    name = name or Path(recipe).stem
    check_recipe(home, name, config)
    if name not in run_names(home):
        check_space([config], home)  # as the flow does, without the servers' start
    _execute(config, name, Told(home, device, threads, machine))


@app.command()
def resume(
    name: Name, home: Home = RUNS, device: Device = None, threads: Threads = None, machine: Machine = None
) -> None:
    """Go on with a run that stopped, with the recipe that it started with."""
    from zppo.runs import read_run_to_resume

    _execute(read_run_to_resume(home, name).recipe, name, Told(home, device, threads, machine))


@app.command()
def fork(
    name: Name,
    new: Annotated[str, typer.Option("--as", metavar="NEW", help="Name of the new run.")],
    at_round: Annotated[int, typer.Option(min=1, help="The last round that both runs share.")],
    overrides: Overrides = None,
    home: Home = RUNS,
    device: Device = None,
    threads: Threads = None,
    machine: Machine = None,
) -> None:
    """Start a run from a committed round of another one, with other settings."""
    told = Told(home, device, threads, machine)
    runtime = told.runtime()  # before what reads the environment
    from zppo.wiring.fork import fork_run

    _execute(fork_run(name, new, at_round, overrides or (), runtime).recipe, new, told)


@app.command()
def status(
    name: Annotated[str | None, typer.Argument(help="Name of a run; all runs by default.")] = None,
    home: Home = RUNS,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show how far runs are; of a single one the last rounds and the speed, too."""
    from zppo import runs

    found = [runs.status(home, each) for each in ([name] if name else runs.run_names(home))]
    if json:
        for each in found:
            typer.echo(each.model_dump_json())
    elif found:
        from zppo.display import rounds_text, status_text

        typer.echo(status_text(found))
        if name:
            typer.echo(f"\n{rounds_text(runs.last_rounds(home, name))}")
    else:
        typer.echo(f"There are no runs under {home}. Start one with: zppo run pocket")


@app.command()
def study(
    study: Annotated[str, typer.Argument(help="Name of a shipped study, or path of a YAML file.")],
    name: Annotated[str | None, typer.Option(help="Name of the study; its file's name by default.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at a time, each in a process of its own.")] = 1,
    plan: Annotated[
        bool, typer.Option("--plan", help="Show the runs and the time left; run nothing.")
    ] = False,
    home: Home = RUNS,
    device: Device = None,
    threads: Threads = None,
    machine: Machine = None,
) -> None:
    """Run a recipe under many methods and seeds, and report on it; goes on where an earlier call stopped."""
    from zppo.study.grid import load_plan
    from zppo.study.records import check_unmixed, find_report, read_records, report_text

    grid = load_plan(study, name)
    check_unmixed(grid, home)
    if plan:
        from zppo.study.overview import overview

        typer.echo(overview(grid, read_records(grid, home), jobs))
    elif find_report(grid, home) is not None:
        typer.echo(report_text(grid, home))
    else:
        _run_study(study, grid, jobs, Told(home, device, threads, machine))


@app.command()
def evaluate(
    name: Name, home: Home = RUNS, device: Device = None, threads: Threads = None, machine: Machine = None
) -> None:
    """Evaluate the base and the best checkpoint of a run on its held-out questions."""
    from zppo.runs import read_run

    config = read_run(home, name).recipe
    told = Told(home, device, threads, machine)
    runtime = told.runtime()
    with _stoppable(f"zppo evaluate {name}{told.options}") as again:
        from flows.pipeline import evaluate_run

        evaluate_run(config, name, runtime, again)


@app.command()
def promote(
    name: Name,
    force: Annotated[bool, typer.Option("--force", help="Whatever the gates say; needs --reason.")] = False,
    reason: Annotated[str, typer.Option(help="Why it is forced; kept in the history.")] = "",
    home: Home = RUNS, device: Device = None, threads: Threads = None, machine: Machine = None,
) -> None:  # fmt: skip
    """Make a run's best checkpoint the champion, if it passes the gates; shows each with its figures."""
    from zppo.runs import read_run

    if force != bool(reason.strip()):
        raise InputError("--force and --reason TEXT go together: the reason is kept in the history")
    config = read_run(home, name).recipe
    told = Told(home, device, threads, machine)
    runtime = told.runtime()
    forced = ["--force", "--reason", reason] if force else []
    with _stoppable(shlex.join(["zppo", "promote", name, *forced]) + told.options) as again:
        from flows.pipeline import promote_run

        promote_run(config, name, runtime, reason or None, again)


@app.command()
def gc(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Only these runs, or what one left that never began; by default all of the home."
        ),
    ] = None,
    home: Home = RUNS,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove without asking.")] = False,
) -> None:
    """Show what nothing needs any more and how much it frees, ask, and remove it.

    Checkpoints that a run's own retention gives up, what killed processes left, and, in the store that runs
    share, what no run or study refers to. Runs that a process holds are left alone.
    """
    from zppo.display import removed_text, waste_text
    from zppo.wiring.gc import find_waste, remove_waste

    found = find_waste(home, names or ())
    typer.echo(waste_text(found))
    if found.waste and (yes or typer.confirm("Remove this?")):
        typer.echo(removed_text(remove_waste(home, found)))


def _execute(config: "RunConfig", name: str, told: Told) -> None:
    runtime = told.runtime()
    from zppo.layout import RunPaths
    from zppo.runs import finished_summary
    from zppo.stores.locks import check_free

    summary = finished_summary(runtime.home, name)
    if summary is not None:
        typer.echo(f"{name} is finished; nothing is left to do.\n\n{summary}")
        return
    # The flow takes the lock; this is the same answer without the servers' start.
    check_free(runtime.home / RunPaths(name).root)
    with _stoppable(f"zppo resume {name}{told.options}") as again:
        from flows.pipeline import run_pipeline

        run_pipeline(config, name, runtime, again)


def _run_study(study: str, plan: "StudyPlan", jobs: int, told: Told) -> None:
    runtime = told.runtime()
    from zppo.layout import StudyPaths
    from zppo.stores.locks import check_free
    from zppo.study.grid import command
    from zppo.wiring.study import check_study_space

    check_study_space(plan, runtime)  # as for a run
    check_free(runtime.home / StudyPaths(plan.name).root)
    with _stoppable(f"{command(study, plan.name, jobs)}{told.options}") as again:
        from flows.study import run_study

        run_study(study, plan.name, jobs, runtime, again)


class _Terminated(BaseException):
    """SIGTERM came."""


def _terminate(number: int, frame: FrameType | None) -> None:
    raise _Terminated


@contextmanager
def _stoppable(again: str) -> Iterator[str]:
    """End with one line on Ctrl-C and SIGTERM that says which command goes on; what is committed stays."""
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield again
    except (KeyboardInterrupt, _Terminated) as stop:
        typer.echo(f"\nstopped; go on with: {again}", err=True)
        raise typer.Exit(TERMINATED if isinstance(stop, _Terminated) else INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGTERM, before)


register(app)
