"""What `deployments/compose.yaml` says, interpolated as Compose does, and its services as commands."""

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.pipelines import ROOT

FOLDER = ROOT / "deployments"
_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def content(name: str, variables: Mapping[str, str]) -> dict[str, Any]:
    """A Compose file, anchors, merges and variables resolved.

    Args:
        name: In `deployments`.
        variables: As `deployments/.env` gives them.

    Raises:
        KeyError: A variable that must be set is not.
    """

    def value(found: re.Match[str]) -> str:
        key, kind, default = found.groups()
        return variables[key] if key in variables or kind != "-" else str(default)

    read = yaml.safe_load((FOLDER / name).read_text())
    return dict(json.loads(_VARIABLE.sub(value, json.dumps(read))))


def image_environment() -> dict[str, str]:
    """What the image sets for every service, paths of the image aside."""
    user = (FOLDER / "image" / "Dockerfile").read_text().partition("AS user")[2].partition("FROM ")[0]
    found = dict(re.findall(r"([A-Z_]+)=(\S+)", user))
    return {key: each for key, each in found.items() if key not in ("PATH", "ZPPO_HOME")}


class Services:
    """The services of the file on this machine's loopback, their names and ports replaced.

    Args:
        variables: As `deployments/.env` gives them.
        places: What stands in the file, and what takes its place here; the first one that fits goes first.
        logs: Holds each service's own Prefect home.
    """

    def __init__(self, variables: Mapping[str, str], places: Mapping[str, str], logs: Path) -> None:
        text = json.dumps(content("compose.yaml", variables)["services"])
        for said, here in places.items():
            text = text.replace(said, here)
        self._services = json.loads(text)
        self._logs = logs

    def command(self, name: str) -> list[str]:
        """Of a service, for this Python interpreter."""
        program, *arguments = self._services[name]["command"]
        return list(arguments) if program == "python" else ["-m", program, *arguments]

    def environment(self, name: str, more: Mapping[str, str]) -> dict[str, str]:
        """Of a service: what the file and the image say, and `more`; nothing of what it has here besides."""
        ours = ("PREFECT_", "MLFLOW_", "AWS_", "ZPPO_", "POSTGRES_", "S3_")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
        here = {
            "PREFECT_HOME": str(self._logs / f"prefect-of-{name}"),
            "PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(ROOT)]),
            "OMP_NUM_THREADS": "1",
        }
        return kept | here | image_environment() | self._services[name].get("environment", {}) | dict(more)

    def health(self, name: str) -> list[str]:
        """The command by which Compose learns whether a service is well, for this machine."""
        kind, program, *arguments = self._services[name]["healthcheck"]["test"]
        assert kind == "CMD"
        return [sys.executable if program == "python" else program, *arguments]

    def restarts(self, name: str) -> bool:
        """Whether Compose starts a service again that ends by itself."""
        return self._services[name].get("restart") in ("always", "unless-stopped")

    @property
    def workers(self) -> Iterable[str]:
        """The pools that have a worker."""
        return [name.removeprefix("worker-") for name in self._services if name.startswith("worker-")]
