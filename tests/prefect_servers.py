"""A real Prefect server on a home's database, to be killed and started again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from flows.servers import prefect_server


@contextmanager
def given_server(home: Path, port: int = 0) -> Iterator[str]:
    """A server, killed at the end of the block; yields the address of its API."""
    before = servers_of(psutil.Process().pid)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", str(home / "prefect"))
        patch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
        with prefect_server(home, port) as url:
            (process,) = [each for each in servers_of(psutil.Process().pid) if each not in before]
            yield f"{url}/api"
            process.kill()


def servers_of(process: int) -> list[psutil.Process]:
    """The Prefect servers that a process has started."""
    return [each for each in psutil.Process(process).children() if _is_server(each)]


def _is_server(process: psutil.Process) -> bool:
    try:
        return "uvicorn" in process.cmdline()
    except psutil.NoSuchProcess:  # it has ended, and nobody has asked how
        return False
