"""PostgreSQL and an S3 server as plain processes."""

import os
import pwd
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.deploy.needed import program
from tests.deploy.waiting import answers, wait_for
from tests.mlflow_servers import free_port

USER = "zppo"


@dataclass
class Cluster:
    """A PostgreSQL server that demands a password."""

    port: int
    password: str

    def run(self, *statements: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run statements one after the other; the rows of the last one, if it gives any."""
        import psycopg2

        with closing(self._connect(psycopg2, database)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def call(self, name: str, *arguments: str) -> None:
        """Run one of PostgreSQL's own programs, such as `pg_dump`, on it."""
        place = ["--host", "127.0.0.1", "--port", str(self.port), "--username", USER]
        environment = os.environ | {"PGPASSWORD": self.password}
        command = [str(program("initdb").with_name(name)), *place, *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def _connect(self, driver: Any, database: str) -> Any:
        return driver.connect(
            host="127.0.0.1", port=self.port, user=USER, password=self.password, dbname=database
        )


@contextmanager
def postgresql(password: str, log: Path) -> Iterator[Cluster]:
    """A new cluster of the role `zppo`, run by an unprivileged user, as PostgreSQL demands."""
    initdb = program("initdb")
    with tempfile.TemporaryDirectory(prefix="zppo-postgresql-", ignore_cleanup_errors=True) as directory:
        data, secret = Path(directory) / "data", Path(directory) / "password"
        secret.write_text(password)
        owner = _unprivileged()
        for each in (Path(directory), secret):
            if owner:
                os.chown(each, owner["user"], owner["group"])
        _run_as(owner, [str(initdb), "--pgdata", str(data), "--username", USER, "--pwfile", str(secret),
                        "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8"])  # fmt: skip
        secret.unlink()
        cluster = Cluster(free_port(), password)
        command = [str(initdb.with_name("postgres")), "-D", str(data), "-p", str(cluster.port)]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
        with log.open("a") as output:
            server = subprocess.Popen(
                command, cwd=directory, stdout=output, stderr=output, start_new_session=True, **owner
            )
        try:
            wait_for("PostgreSQL", lambda: _accepts(cluster))
            yield cluster
        finally:
            server.send_signal(signal.SIGINT)  # a fast shutdown: sessions are ended
            server.wait()


def _unprivileged() -> dict[str, Any]:
    """Arguments of a process that is not to be root's; none where this one is not."""
    if os.geteuid():
        return {}
    names = [name for name in ("postgres", "nobody") if _exists(name)]
    found = pwd.getpwnam(names[0])
    return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": ()}


def _exists(user: str) -> bool:
    return any(each.pw_name == user for each in pwd.getpwall())


def _run_as(owner: Mapping[str, Any], command: Sequence[str]) -> None:
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False, **owner)
    assert done.returncode == 0, done.stderr


def _accepts(cluster: Cluster) -> bool | None:
    import psycopg2

    try:
        cluster.run("SELECT 1")
    except psycopg2.OperationalError:
        return None
    return True


@contextmanager
def object_store(log: Path) -> Iterator[str]:
    """Moto's S3 server, which keeps objects in memory; yields its address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with log.open("a") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)],
            cwd=log.parent, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    try:
        wait_for("the S3 server", lambda: answers(f"{url}/moto-api/"))
        yield url
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
