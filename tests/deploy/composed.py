"""The installation of `compose.yaml` as plain processes, on PostgreSQL and an S3 server."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.deploy.compose import FOLDER, Services, content
from tests.deploy.installation import Installation, start
from tests.deploy.stores import Cluster, object_store, postgresql
from tests.deploy.waiting import LONG, wait_for
from tests.mlflow_servers import free_port

SERVERS = ("prefect", "mlflow")
HASTE = {"PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "5", "PREFECT_WORKER_QUERY_SECONDS": "2"}
"""So that the tests need not wait long for what schedules and workers do."""


@dataclass
class Composed(Installation):
    """Everything that the file has, in its order."""

    database: Cluster = field(kw_only=True)
    objects: str = field(kw_only=True)
    """Address of the S3 server."""
    secret: str = field(kw_only=True)
    """Of the S3 server."""
    ports: Mapping[str, int] = field(kw_only=True)
    servers: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def services(self) -> Services:
        """What the file says, for this machine, with the passwords of now."""
        at = {name: f"127.0.0.1:{port}" for name, port in self.ports.items()}
        variables = {
            "POSTGRES_PASSWORD": self.database.password,
            "S3_SECRET_KEY": self.secret,
            "PREFECT_PAGE_URL": f"http://{at['prefect']}",
        }
        places = {
            "@database/": f"@127.0.0.1:{self.database.port}/",
            "http://objects:9000": self.objects,
            "prefect:4200": at["prefect"], "127.0.0.1:4200": at["prefect"],
            "mlflow:5000": at["mlflow"], "127.0.0.1:5000": at["mlflow"],
            "--port=5000": f"--port={self.ports['mlflow']}",
            "0.0.0.0": "127.0.0.1",
            "/opt/zppo/deployments": str(FOLDER),
            "/home/zppo/runs": str(self.home),
        }  # fmt: skip
        return Services(variables, places, self.logs)

    def start_server(self, name: str) -> None:
        """Start one of the two servers, and wait until Compose would call it healthy."""
        command = self.services.command(name)
        if name == "prefect":
            command += ["--port", str(self.ports[name])]
        environment = self.services.environment(name, HASTE)
        self.servers[name] = start(command, environment, self.logs / f"{name}.txt")
        wait_for(f"{name} to be healthy", lambda: self.is_well(name) or None)

    def start_worker(self, pool: str, name: str = "", **more: str) -> None:
        """Start the worker of a pool, as the file says."""
        assert not name, "the file has one worker for each pool"
        service = f"worker-{pool}"
        own = {**HASTE, "PREFECT_WORKER_WEBSERVER_PORT": str(self.ports[service])}
        environment = self.services.environment(service, own | more)
        self.workers[pool] = start(self.services.command(service), environment, self.logs / f"{pool}.txt")

    def keep_up(self, pool: str) -> None:
        """Start the worker of a pool again if it has ended, as the file asks Docker to."""
        assert self.services.restarts(f"worker-{pool}")
        super().keep_up(pool)

    def is_well(self, service: str) -> bool:
        """What the health check of a service says."""
        here = f"127.0.0.1:{self.ports[service]}"
        command = [each.replace("127.0.0.1:8080", here) for each in self.services.health(service)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def once(self, service: str) -> None:
        """Run a service that ends by itself, to its end."""
        self._run(self.services.command(service), service)

    def prefect(self, *arguments: str, service: str = "worker-cpu") -> None:
        """A command of Prefect in the environment of a service."""
        self._run(["-m", "prefect", *arguments], service)

    def mlflow_upgrade(self) -> None:
        """Bring the database of the MLflow server up to date."""
        address = self.services.environment("mlflow", {})["MLFLOW_BACKEND_STORE_URI"]
        self._run(["-m", "mlflow", "db", "upgrade", address], "mlflow")

    def _run(self, command: Sequence[str], service: str) -> None:
        environment = self.services.environment(service, {})
        done = subprocess.run(
            [sys.executable, *command], env=environment, cwd=self.logs,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    def stop(self) -> None:
        """Stop workers and servers in order, as `docker compose stop` does."""
        for processes in (self.workers, self.servers):
            for process in processes.values():
                process.terminate()
            for name in list(processes):
                processes.pop(name).wait(LONG)

    def kill(self) -> None:
        """End everything at once."""
        for pool in list(self.workers):
            self.kill_worker(pool)
        for process in self.servers.values():
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _begin(place: Composed) -> None:
    """What the database and the object store run when they are new."""
    said = content("compose.yaml", {"POSTGRES_PASSWORD": "x", "S3_SECRET_KEY": "x"})
    others = said["configs"]["databases"]["content"].split(";")
    database = said["services"]["database"]["environment"]["POSTGRES_DB"]
    for statement in (f"CREATE DATABASE {database}", *filter(str.strip, others)):
        place.database.run(statement)
    place.once("bucket")


@contextmanager
def composed(home: Path, logs: Path, fill: Callable[[Composed], None] = _begin) -> Iterator[Composed]:
    """All services but the workers, and everything deployed; killed at the end of the block.

    Args:
        home: Of the runs.
        logs: What the processes print.
        fill: Puts into the new stores what the servers find there.
    """
    password, secret = "Pg7hunter", "S3hunter7"
    ports = {name: free_port() for name in (*SERVERS, "worker-cpu", "worker-gpu")}
    api = f"http://127.0.0.1:{ports['prefect']}/api"
    mlflow = f"http://127.0.0.1:{ports['mlflow']}"
    with (
        postgresql(password, logs / "database.txt") as cluster,
        object_store(logs / "objects.txt") as objects,
    ):
        place = Composed(
            home, api, mlflow, {}, logs, database=cluster, objects=objects, secret=secret, ports=ports
        )
        place.settings = place.services.environment("worker-cpu", HASTE)
        try:
            fill(place)
            for name in SERVERS:
                place.start_server(name)
            place.once("deploy")
            yield place
        finally:
            place.kill()
