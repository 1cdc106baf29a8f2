"""What the runbook says of backing up and restoring an installation on PostgreSQL and S3."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.deploy.composed import Composed

DATABASES = ("mlflow", "prefect")
BUCKET = "mlflow"


def back_up(place: Composed, to: Path) -> None:
    """The databases first, then what they refer to, while the servers are up."""
    for database in DATABASES:
        place.database.call("pg_dump", "--format=custom", f"--file={to / database}.dump", database)
    objects = _bucket(place)
    for each in objects.objects.all():
        file = to / "artifacts" / each.key
        file.parent.mkdir(parents=True, exist_ok=True)
        objects.download_file(each.key, str(file))
    (to / "runs").mkdir()
    for each in place.home.iterdir():
        if each.name != "tmp":
            subprocess.run(["cp", "--archive", each, to / "runs"], check=True)


def restore(place: Composed, backup: Path) -> None:
    """Fill the stores of an installation whose servers do not run yet."""
    for database in DATABASES:
        place.database.run(f"CREATE DATABASE {database}")
        place.database.call("pg_restore", f"--dbname={database}", str(backup / f"{database}.dump"))
    place.once("bucket")
    for file in (each for each in (backup / "artifacts").rglob("*") if each.is_file()):
        _bucket(place).upload_file(str(file), file.relative_to(backup / "artifacts").as_posix())
    for each in (backup / "runs").iterdir():
        subprocess.run(["cp", "--archive", each, place.home], check=True)


@contextmanager
def paused(place: Composed) -> Iterator[None]:
    """Pause both pools until the block ends."""
    for pool in ("cpu", "gpu"):
        place.prefect("work-pool", "pause", pool)
    yield
    for pool in ("cpu", "gpu"):
        place.prefect("work-pool", "resume", pool)


def _bucket(place: Composed) -> Any:
    import boto3

    keys = place.services.environment("bucket", {})
    session = boto3.Session(
        aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
        region_name=keys["AWS_DEFAULT_REGION"],
    )
    return session.resource("s3", endpoint_url=place.objects).Bucket(BUCKET)
