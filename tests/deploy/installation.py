"""A whole installation as plain processes: servers, work pools, deployments, workers."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil

from tests.deploy.waiting import LONG, answers, wait_for
from tests.mlflow_servers import free_port
from tests.pipelines import ROOT


@dataclass
class Installation:
    """Two servers with everything deployed, and its workers."""

    home: Path
    api: str
    mlflow: str
    settings: Mapping[str, str]
    logs: Path
    workers: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def get(self, path: str) -> Any:
        """What the Prefect server says."""
        return self.send("GET", path).json()

    def ask(self, path: str, body: Mapping[str, Any]) -> Any:
        """The Prefect server's answer to a request."""
        return self.send("POST", path, body).json()

    def send(self, method: str, path: str, body: object = None) -> httpx.Response:
        """A request, made again while the server's SQLite is locked by others."""

        def answer() -> httpx.Response | None:
            try:
                found = httpx.request(method, f"{self.api}/{path}", json=body, timeout=60)
            except httpx.TimeoutException:
                return None
            return None if found.status_code == httpx.codes.SERVICE_UNAVAILABLE else found

        return wait_for(f"{method} {path}", answer).raise_for_status()

    def deployment(self, name: str) -> Any:
        """A deployment by its name, which one has."""
        (found,) = self.ask("deployments/filter", {"deployments": {"name": {"any_": [name]}}})
        return found

    def start(self, deployment: str, parameters: Mapping[str, Any]) -> str:
        """Create a flow run, as the form of the page does; its id."""
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}, "idempotency_key": uuid4().hex}
        path = f"deployments/{self.deployment(deployment)['id']}/create_flow_run"
        return str(self.ask(path, body)["id"])

    def state_of(self, flow_run: str) -> Any:
        """The state of a flow run."""
        return self.get(f"flow_runs/{flow_run}")["state"]

    def switch_on(self, automation: str, **trigger: Any) -> str:
        """Switch an automation on, with a trigger that may be quicker; its id."""
        found = self.ask("automations/filter", {})
        (content,) = [each for each in found if each["name"] == automation]
        body = {key: content[key] for key in ("name", "description", "actions")}
        body |= {"enabled": True, "trigger": content["trigger"] | trigger}
        self.send("PUT", f"automations/{content['id']}", body)
        return str(content["id"])

    def told(self, title: str) -> list[str]:
        """What `notify` was started to tell people under a title."""
        told = [each["parameters"] for each in self.runs_of("notify")]
        return [each["text"] for each in told if each["title"] == title]

    def runs_of(self, deployment: str) -> list[Any]:
        """Its flow runs, the oldest first."""
        wanted = {"deployments": {"name": {"any_": [deployment]}}, "sort": "START_TIME_ASC"}
        return list(self.ask("flow_runs/filter", wanted))

    def end_of(self, flow_run: str) -> Any:
        """The state of a flow run once it is over."""

        def state() -> Any:
            found = self.state_of(flow_run)
            return found if found["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else None

        return wait_for(f"the end of the flow run {flow_run}", state)

    def artifacts_of(self, flow_run: str) -> dict[str, Any]:
        """What stands on a flow run's page, by key; the newest of each."""
        wanted = {"artifacts": {"flow_run_id": {"any_": [flow_run]}}, "sort": "CREATED_DESC"}
        return {each["key"]: each for each in reversed(self.ask("artifacts/filter", wanted))}

    def start_worker(self, pool: str, name: str = "", **more: str) -> None:
        """Start a worker of a pool, in a process group of its own.

        Args:
            pool: The work pool.
            name: Of the worker, where the pool has several; each has its own Prefect home, as on machines.
            more: Of its environment.
        """
        command = ["-m", "prefect", "worker", "start", "--pool", pool, "--type", "process"]
        if pool == "gpu":
            command += ["--limit", "1"]
        home = self.logs / f"prefect-of-{name or pool}"
        settings = {**self.settings, "PREFECT_HOME": str(home), **more}
        self.workers[name or pool] = start(command, settings, self.logs / f"{name or pool}.txt")

    def keep_up(self, pool: str) -> None:
        """Start the worker of a pool again if it has ended, as its supervisor would."""
        if self.workers[pool].poll() is not None:
            self.start_worker(pool)

    def taken_up(self, flow_run: str, pool: str) -> None:
        """Return once a worker has a flow run that is retried.

        Prefect's worker ends where it counts the earlier try as running still.
        """

        def is_taken_up() -> bool | None:
            self.keep_up(pool)
            return self.state_of(flow_run)["type"] in ("PENDING", "RUNNING", "COMPLETED") or None

        wait_for("the retry", is_taken_up)

    def stop_worker(self, name: str) -> None:
        """Stop a worker that is idle, as its supervisor would."""
        process = self.workers.pop(name)
        process.terminate()
        process.wait(LONG)

    def kill_worker(self, name: str) -> None:
        """Kill a worker together with the flow runs that it has started, as when a machine dies."""
        process = self.workers.pop(name)
        children = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGKILL)
        for each in children:  # in sessions of their own
            with suppress(psutil.NoSuchProcess):
                each.kill()
        process.wait()

    def said(self) -> str:
        """What the workers have printed."""
        return "\n".join(file.read_text(errors="replace")[-6000:] for file in self.logs.glob("*.txt"))


@contextmanager
def installed(home: Path, logs: Path) -> Iterator[Installation]:
    """Servers on a home and everything deployed; all processes are killed at the end of the block.

    Args:
        home: Of the runs.
        logs: What the processes print.
    """
    prefect_port, mlflow_port = free_port(), free_port()
    api, mlflow = f"http://127.0.0.1:{prefect_port}/api", f"http://127.0.0.1:{mlflow_port}"
    settings = _settings(home, api, mlflow)
    place = Installation(home, api, mlflow, settings, logs)
    servers = [
        start([*_PREFECT, "--port", str(prefect_port)], settings, logs / "prefect-server.txt"),
        start(_mlflow(home, mlflow_port), settings, logs / "mlflow-server.txt"),
    ]
    try:
        for url in (f"{api}/health", f"{mlflow}/health"):
            wait_for(url, lambda url=url: answers(url))  # type: ignore[misc]
        deploy(settings)
        yield place
    finally:
        for name in list(place.workers):
            place.kill_worker(name)
        for process in servers:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def deploy(settings: Mapping[str, str]) -> None:
    """The one command, by this virtual environment as it is."""
    command = ["make", "deploy", f"VENV={sys.prefix}", f"--old-file={sys.prefix}/.installed"]
    done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


_PREFECT = ["-m", "prefect", "server", "start", "--host", "127.0.0.1"]


def _mlflow(home: Path, port: int) -> list[str]:
    """A server that answers to its own name alone."""
    return [
        "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{home / 'mlflow.db'}",
        "--artifacts-destination", str(home / "served"),
        "--allowed-hosts", f"127.0.0.1:{port}",
    ]  # fmt: skip


def _settings(home: Path, api: str, mlflow: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "MLFLOW_"))}
    return kept | {
        "PREFECT_API_URL": api,
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_SERVER_UI_ENABLED": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "5",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_TRACKING_URI": mlflow,
        "ZPPO_HOME": str(home),
        "PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(ROOT)]),
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip


def start(command: Sequence[str], settings: Mapping[str, str], log: Path) -> "subprocess.Popen[bytes]":
    """Start a Python program in a process group of its own."""
    with log.open("a") as output:
        return subprocess.Popen(
            [sys.executable, *command],
            env=settings, cwd=log.parent, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
