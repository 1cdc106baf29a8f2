"""The Prefect and MLflow servers on the state of the runs."""

import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from zppo.environment import tracking_uri
from zppo.errors import EngineError

HOST = "127.0.0.1"


def serve(home: Path, prefect_port: int, mlflow_port: int, say: Callable[[str], None]) -> None:
    """Serve both pages on this machine only, until Ctrl-C or until one of the servers ends.

    Raises `EngineError` when a server ends by itself; its log says why.
    """
    home.mkdir(parents=True, exist_ok=True)
    addresses = {"prefect": f"http://{HOST}:{prefect_port}", "mlflow": f"http://{HOST}:{mlflow_port}"}
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(_server(command, home / f"{name}-server.log"))
            for name, command in _commands(home, prefect_port, mlflow_port).items()
        }
        stack.callback(_stop, list(servers.values()))
        for name, address in addresses.items():
            say(f"{name:8} {address}")
        say("The pages take up to a minute to appear; Ctrl-C stops both.")
        _wait(servers, home)


def _commands(home: Path, prefect_port: int, mlflow_port: int) -> dict[str, list[str]]:
    python = sys.executable
    artifacts = (home / "mlartifacts").absolute()
    return {
        "prefect": [python, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(prefect_port)],
        "mlflow": [
            *(python, "-m", "mlflow", "server", "--host", HOST, "--port", str(mlflow_port)),
            *("--workers", "1", "--backend-store-uri", tracking_uri(home)),
            *("--artifacts-destination", str(artifacts)),
        ],
    }  # fmt: skip


def _server(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as file:
        return subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)


def _wait(servers: dict[str, subprocess.Popen[bytes]], home: Path) -> None:
    try:
        while True:
            for name, server in servers.items():
                try:
                    code = server.wait(timeout=0.5)
                except subprocess.TimeoutExpired:
                    continue
                log = home / f"{name}-server.log"
                raise EngineError(
                    f"the {name} server ended with code {code}: see {log}. Is its port taken? "
                    f"Choose another with --{name}-port"
                )
    except KeyboardInterrupt:
        return


def _stop(servers: list[subprocess.Popen[bytes]]) -> None:
    for server in servers:
        server.terminate()
    for server in servers:
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.kill()
