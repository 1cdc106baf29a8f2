"""Servers on the state of the runs: Prefect's own while a flow runs, both for looking at the pages."""

import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

import prefect
from prefect.logging.handlers import APILogHandler
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    get_current_settings,
    temporary_settings,
)

from flows.outages import WhereItStands, check_server, explained, forget_what_is_unsent
from flows.programs import START_SECONDS, Keeper, Program, ServerError, running
from zppo.environment import tracking_uri
from zppo.stores.locks import turn

PREFECT_PORT, MLFLOW_PORT = 4200, 5000
"""Of the pages, where they are free."""


@contextmanager
def flow_server(home: Path, stands: WhereItStands) -> Iterator[None]:
    """Run flows against the configured Prefect server, or else against one of this process's own.

    The own one keeps its database and its log below `home`, listens on loopback, and ends with this
    process, even if that is killed. Where it dies, it is started again. Its heartbeats are off: each costs
    a flow over a second to join, and nobody but this process watches.

    Args:
        home: Home of the runs.
        stands: Says in errors what is committed, and how to go on.

    Raises:
        ServerError: The server does not answer any more, or cannot be started.
    """
    logging.raiseExceptions = False  # a log that a dead server does not take is no error to print
    given = PREFECT_API_URL.value()
    if given is not None:
        check_server(given)
        with explained(given, stands):
            yield
        return
    with _kept_server(home, stands) as url:
        settings = {PREFECT_API_URL: f"{url}/api", PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
        with temporary_settings(updates=settings):
            try:
                with explained(url, stands):
                    yield
            finally:
                # Prefect sends its log in the background; what is left must go before the server does.
                APILogHandler().flush()


@contextmanager
def _kept_server(home: Path, stands: WhereItStands) -> Iterator[str]:
    """A Prefect server that is started again when it dies; yields its address."""
    url, program = _prefect(home)
    keeper = Keeper(program, lambda line: print(line, flush=True), _stop_at_the_next_commit)
    with _turn(program):
        keeper.start()
    try:
        yield url
    # The keeper stops the run by a signal, which is no `Exception`; where it did, the server is the cause.
    except BaseException:
        if keeper.lost is None:
            raise
        forget_what_is_unsent()
        raise ServerError(f"{keeper.lost}\n{stands()}") from None
    finally:
        keeper.stop()


def _stop_at_the_next_commit() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def prefect_server(home: Path, port: int = 0, pages: bool = False) -> Iterator[str]:
    """A Prefect server on `home`'s database; yields its address.

    Args:
        home: Home of the runs.
        port: Wanted; any free one where it is taken, or 0.
        pages: Serve the web pages too.
    """
    url, program = _prefect(home, port, pages)
    with ExitStack() as stack:
        with _turn(program):
            stack.enter_context(running(program))
        yield url


def _prefect(home: Path, port: int = 0, pages: bool = False) -> tuple[str, Program]:
    """The address of a Prefect server, and the server."""
    port = _free_port(port)
    url = f"http://127.0.0.1:{port}"
    environment = {
        **get_current_settings().to_environment_variables(exclude_unset=True),
        "PREFECT_UI_ENABLED": "1" if pages else "0",
        "PREFECT_UI_API_URL": f"{url}/api",
        # Any text means yes, "0" too; an ephemeral server serves no pages.
        "PREFECT__SERVER_EPHEMERAL": "" if pages else "1",
        "PREFECT__SERVER_FINAL": "1",
    }
    environment.pop("PREFECT_API_URL", None)
    command = ["-m", "uvicorn", "--app-dir", str(prefect.__module_path__.parent), "--factory"]
    command += ["prefect.server.api.server:create_app", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--log-level", "error"]
    log = home.absolute() / "prefect" / "server.log"
    return url, Program("the Prefect server", command, log, f"{url}/api/health", environment)


@contextmanager
def mlflow_server(home: Path, port: int = 0) -> Iterator[str]:
    """An MLflow server on `home`'s database; yields its address."""
    port = _free_port(port)
    url = f"http://127.0.0.1:{port}"
    command = ["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", tracking_uri(home)]
    log = home.absolute() / "mlflow-server.log"
    with running(Program("the MLflow server", command, log, f"{url}/health")):
        yield url


def serve_pages(home: Path) -> None:
    """Serve the Prefect and MLflow pages until interrupted, and print where."""
    with (
        prefect_server(home, PREFECT_PORT, pages=True) as prefect_url,
        mlflow_server(home, MLFLOW_PORT) as mlflow_url,
    ):
        print(f"Prefect  {prefect_url}\nMLflow   {mlflow_url}\nCtrl-C stops both.", flush=True)
        signal.pause()


def _turn(program: Program) -> AbstractContextManager[None]:
    """Wait until no other process starts a server here: two would migrate a new database at once."""
    return turn(program.log.parent / "start", START_SECONDS)


def _free_port(wanted: int) -> int:
    for port in (wanted, 0):
        with socket.socket() as probe, suppress(OSError):
            # As servers do: a port whose last connection has just closed is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise ServerError("no free port on 127.0.0.1")
