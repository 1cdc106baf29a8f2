"""Commands for those who run the system: champions, the installation, the pages."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from zppo.errors import InputError
from zppo.options import RUNS, Home, Machine, runtime_of

RegisteredModel = Annotated[
    str, typer.Option("--model", metavar="NAME", help="The registered model; promotion.registered_model.")
]
STUDENT = "zppo-student"
"""The default registered model, as in recipes."""


def rollback(
    reason: Annotated[str, typer.Option(help="Why; it is kept in the history and on the versions.")],
    to: Annotated[
        str | None,
        typer.Option(metavar="VERSION", help="A version's number; the previous champion by default."),
    ] = None,
    model: RegisteredModel = STUDENT,
    home: Home = RUNS,
) -> None:
    """Make the previous champion the champion again.

    The version that it replaces is not promoted again by the same evaluation, unless somebody forces it.
    """
    from zppo.wiring.rollback import roll_back

    move = roll_back(runtime_of(home, None, None, None), model, to, reason)
    typer.echo(f"{move.version} is the champion again (before: {move.previous}; {move.reason})")


def pull(
    version: Annotated[
        str, typer.Argument(help="champion, a version's number, or models:/NAME/VERSION.", metavar="VERSION")
    ],
    to: Annotated[Path, typer.Option(metavar="DIR", help="A new or empty directory.")],
    model: RegisteredModel = STUDENT,
    home: Home = RUNS,
) -> None:
    """Copy a registered student, with a model card, to a directory that transformers and vLLM load.

    From the registry of the home, or of the server that MLFLOW_TRACKING_URI names.
    """
    from zppo.display import amount
    from zppo.wiring.pull import check_empty
    from zppo.wiring.pull import pull as copy

    check_empty(to)
    pulled = copy(runtime_of(home, None, None, None), version, model, to)
    size = amount(pulled.bytes, "bytes")
    typer.echo(f"{pulled.version.reference} is in {to}: {len(pulled.files)} files, {size}, checked")
    typer.echo(f"  vllm serve {to}\n  AutoModelForCausalLM.from_pretrained({str(to)!r})")
    if pulled.unknown:
        typer.echo(f"{to}/README.md has {pulled.unknown} places to fill in; look for 'unknown: fill in'")


def ui(home: Home = RUNS) -> None:
    """Serve the Prefect and MLflow pages of the runs until Ctrl-C."""
    from zppo.environment import prepare_environment

    prepare_environment(home)
    from flows.servers import serve_pages

    with suppress(KeyboardInterrupt):
        serve_pages(home)


def doctor(
    home: Home = RUNS,
    recipe: Annotated[str | None, typer.Option(help="A recipe that is to run here.")] = None,
    store_token: Annotated[
        str | None,
        typer.Option(metavar="TOKEN", help="As zppo doctor shows it on a machine of another pool."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    machine: Machine = None,
) -> None:
    """Examine the installation: each finding with what to do about it; exit code 1 where one is a problem.

    Versions, servers, the store and its file system, disk, GPU, engines, telemetry and keys.
    """
    runtime = runtime_of(home, None, None, machine)
    from zppo.doctor.examine import examine, findings_text
    from zppo.recipes import load_recipe

    findings = examine(runtime, load_recipe(recipe) if recipe else None, store_token)
    typer.echo("\n".join(each.model_dump_json() for each in findings) if json else findings_text(findings))
    if any(each.level == "problem" for each in findings):
        raise typer.Exit(1)


def join_learner(home: Home = RUNS, machine: Machine = None) -> None:
    """Take part in a run's learner with this machine, which the run's machine file counts among its nodes.

    Waits for the run on the first machine, and ends with it: with exit code 0 where it needs no more updates,
    with 1 where a rank failed; start it again for the run's next start.
    """
    machines = runtime_of(home, None, None, machine).learner
    if machines is None:
        raise InputError("the machine file has no `learner`, such as {nodes: 2, rendezvous: node-1:29500}")
    from zppo.learners.fsdp.join import join

    typer.echo(f"waiting for a run at {machines.rendezvous}", err=True)
    join(machines, home)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (rollback, pull, doctor, ui, join_learner):
        app.command()(command)
