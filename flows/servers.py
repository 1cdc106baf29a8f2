"""Servers on the state of the runs: Prefect's own while a flow runs, both for looking at the pages."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import prefect
from prefect.logging.handlers import APILogHandler
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    get_current_settings,
    temporary_settings,
)

from flows.stopping import end_with_parent
from zppo.environment import tracking_uri
from zppo.errors import StoreError, ZppoError
from zppo.stores.locks import exclusive

START_SECONDS = 180
"""A first start migrates the database: 20 to 40 s on two busy cores."""
STOP_SECONDS = 10
PREFECT_PORT, MLFLOW_PORT = 4200, 5000
"""Of the pages, where they are free."""


class ServerError(ZppoError):
    """A server did not start, or ended on its own."""


@contextmanager
def flow_server(home: Path) -> Iterator[None]:
    """Run flows against the configured Prefect server, or else against one of this process's own.

    The own one keeps its database and its log below `home`, listens on loopback, and ends with this
    process, even if that is killed. Its heartbeats are off: each costs a flow over a second to join, and
    nobody but this process watches.
    """
    if PREFECT_API_URL.value() is not None:
        yield
        return
    with prefect_server(home) as url:
        settings = {PREFECT_API_URL: f"{url}/api", PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
        with temporary_settings(updates=settings):
            try:
                yield
            finally:
                # Prefect sends its log in the background; what is left must go before the server does.
                APILogHandler().flush()


@contextmanager
def prefect_server(home: Path, port: int = 0, pages: bool = False) -> Iterator[str]:
    """A Prefect server on `home`'s database; yields its address.

    Args:
        home: Home of the runs.
        port: Wanted; any free one where it is taken, or 0.
        pages: Serve the web pages too.
    """
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
    log = home.absolute() / "prefect" / "server.log"
    with _turn(log.parent / "start"):
        process = _start([*command, "--log-level", "error"], environment, log)
        _wait_until_healthy(process, f"{url}/api/health", "Prefect", log)
    try:
        yield url
    finally:
        _stop(process)


@contextmanager
def mlflow_server(home: Path, port: int = 0) -> Iterator[str]:
    """An MLflow server on `home`'s database; yields its address."""
    port = _free_port(port)
    url = f"http://127.0.0.1:{port}"
    log = home.absolute() / "mlflow-server.log"
    command = ["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    process = _start([*command, "--backend-store-uri", tracking_uri(home)], {}, log)
    try:
        _wait_until_healthy(process, f"{url}/health", "MLflow", log)
        yield url
    finally:
        _stop(process)


def serve_pages(home: Path) -> None:
    """Serve the Prefect and MLflow pages until interrupted, and print where."""
    with (
        prefect_server(home, PREFECT_PORT, pages=True) as prefect_url,
        mlflow_server(home, MLFLOW_PORT) as mlflow_url,
    ):
        print(f"Prefect  {prefect_url}\nMLflow   {mlflow_url}\nCtrl-C stops both.", flush=True)
        signal.pause()


@contextmanager
def _turn(directory: Path) -> Iterator[None]:
    """Wait until no other process starts a server here: two would migrate a new database at once."""
    deadline = time.monotonic() + START_SECONDS
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(exclusive(directory))
                break
            except StoreError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
        yield


def _start(arguments: list[str], environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start a Python program in a session of its own: Ctrl-C at the terminal is for the flow, not for it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, *arguments],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # Safe beside other threads: the function takes no lock.
            preexec_fn=end_with_parent,  # noqa: PLW1509
        )


def _wait_until_healthy(process: subprocess.Popen[bytes], url: str, name: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(url, timeout=5).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    _stop(process)
    raise ServerError(
        f"the {name} server did not answer at {url} within {START_SECONDS} s. The end of {log}:\n{_tail(log)}"
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tail(log: Path, lines: int = 10) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def _free_port(wanted: int) -> int:
    for port in (wanted, 0):
        with socket.socket() as probe, suppress(OSError):
            # As servers do: a port whose last connection has just closed is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise ServerError("no free port on 127.0.0.1")
