"""Prefect and MLflow: reachable where they are given, startable where they are not."""

import importlib.metadata
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlparse

import httpx

from schemas.doctor import Finding
from zppo.errors import ZppoError
from zppo.tracking.client import connect, without_password

SECONDS = 5.0
_START_SECONDS = 120.0
OWN_SERVER = ("-c", "import prefect.server.api.server, uvicorn")
"""What a server of the run's own is made of: fails where versions of its libraries do not fit together."""


def check_prefect(url: str | None) -> list[Finding]:
    """The given server answers and is of the same release; without one, a run's own can be started."""
    if url is None:
        return check_own_prefect()
    try:
        health = httpx.get(f"{url}/health", timeout=SECONDS)
        version = httpx.get(f"{url}/admin/version", timeout=SECONDS)
    except httpx.HTTPError as error:
        return [_no_prefect(url, str(error) or type(error).__name__)]
    if health.status_code != httpx.codes.OK:
        return [_no_prefect(url, f"its health is HTTP {health.status_code}")]
    return [_release(url, version)]


def _no_prefect(url: str, why: str) -> Finding:
    return Finding(
        check="Prefect",
        level="problem",
        found=f"no Prefect server at {without_password(url)}: {without_password(why)}",
        todo="start it, correct PREFECT_API_URL (it ends in /api), or unset it: then each run starts its own",
    )


def _release(url: str, answer: httpx.Response) -> Finding:
    ours, place = importlib.metadata.version("prefect"), without_password(url)
    if answer.status_code != httpx.codes.OK:
        return Finding(
            check="Prefect",
            level="warning",
            found=f"{place} answers, but does not tell its version (HTTP {answer.status_code})",
            todo="if it asks for credentials, set PREFECT_API_AUTH_STRING or PREFECT_API_KEY",
        )
    theirs = answer.text.strip().strip('"')
    if theirs.split(".")[:2] == ours.split(".")[:2]:
        return Finding(check="Prefect", level="ok", found=f"{place} answers, version {theirs}")
    return Finding(
        check="Prefect",
        level="warning",
        found=f"{place} is of version {theirs}, the client here of {ours}",
        todo="run both with the same release; a server may be newer than its clients, not older",
    )


def check_own_prefect(program: Sequence[str] = OWN_SERVER) -> list[Finding]:
    """The libraries of Prefect's server can be imported; starting one takes longer than it is worth here."""
    try:
        done = subprocess.run(
            [sys.executable, *program], capture_output=True, text=True, timeout=_START_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return [_not_startable(f"its libraries were not imported within {_START_SECONDS:.0f} s")]
    if done.returncode:
        return [_not_startable((done.stderr.strip().splitlines() or ["no message"])[-1])]
    return [
        Finding(
            check="Prefect", level="ok", found="PREFECT_API_URL is not set: each run starts its own server"
        )
    ]


def _not_startable(why: str) -> Finding:
    return Finding(
        check="Prefect",
        level="problem",
        found=f"PREFECT_API_URL is not set, and a server of a run's own cannot start: {why}",
        todo="install again with the constraints (fastapi is the usual cause), or name a server",
    )


def check_mlflow(uri: str) -> list[Finding]:
    """The tracking server or database answers; a database below the home is made by the first run."""
    place, location = without_password(uri), urlparse(uri)
    if location.scheme == "sqlite" and not Path(location.path).exists():
        return [Finding(check="MLflow", level="ok", found=f"{place} will be made by the first run")]
    try:
        connect(uri)
    except ZppoError as error:
        why = without_password(str(error.__cause__ or error).rpartition("Caused by ")[2].removesuffix(")"))
        todo = (
            "start it, or unset MLFLOW_TRACKING_URI for a database in the home; on a 403 add the name in its "
            "address to its MLFLOW_SERVER_ALLOWED_HOSTS; on a 401 set MLFLOW_TRACKING_USERNAME and _PASSWORD"
        )
        return [Finding(check="MLflow", level="problem", found=f"no MLflow at {place}: {why}", todo=todo)]
    return [Finding(check="MLflow", level="ok", found=f"{place} answers")]
