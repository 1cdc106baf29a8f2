"""The store: what a commit needs of its file system, and whether two machines see the same one."""

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.doctor import Finding
from zppo.stores.files import Operations
from zppo.stores.local import TEMPORARY
from zppo.stores.locks import try_lock

TOKEN = "doctor-token"
LITTLE, FEW = 500 * 1000**2, 10 * 1000**3
"""Bytes free: a problem below the first, a warning below the second."""


def check_store(home: Path, do: Operations | None = None) -> list[Finding]:
    """Commit a file as the store does: written, forced to the disk, and moved by one rename."""
    do = do or Operations()
    try:
        with _scratch(home / TEMPORARY) as aside, _scratch(home / "store") as place:
            artifact = aside / "artifact"
            do.make_directory(artifact)
            do.write(artifact / "file", b"zppo doctor")
            do.sync(artifact / "file")
            do.sync(artifact)
            do.rename(artifact, place / "artifact")
            do.sync(place)
    except OSError as error:
        return [_unfit(home, error)]
    return [
        Finding(check="store", level="ok", found=f"{home.absolute()}: files are written, synced and renamed")
    ]


def _unfit(home: Path, error: OSError) -> Finding:
    if error.errno == errno.EXDEV:
        found = f"{home / TEMPORARY} and {home / 'store'} lie on different file systems"
        todo = "a commit is one rename: mount one file system at the whole home, not at directories in it"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        found, todo = (
            f"{home} cannot be written to: {error}",
            "make it writable for this user, or choose --home",
        )
    elif error.errno in (errno.ENOSPC, errno.EDQUOT):
        found, todo = f"{home} is full: {error}", "free some space (zppo gc), or choose another --home"
    else:
        found = f"{home} does not take a commit: {error}"
        todo = "use a POSIX file system that keeps fsync and rename, such as ext4, XFS, NFS 4 or Lustre"
    return Finding(check="store", level="problem", found=found, todo=todo)


def check_locks(home: Path, lock: Callable[[int], bool] = try_lock) -> list[Finding]:
    """A file lock that one holder has is refused to another."""
    try:
        with _scratch(home / TEMPORARY) as directory:
            first, second = (os.open(directory / "lock", os.O_RDWR | os.O_CREAT) for _ in range(2))
            try:
                exclusive = lock(first) and not lock(second)
            finally:
                os.close(first)
                os.close(second)
    except OSError as error:
        return [_unlocked(home, str(error))]
    if not exclusive:
        return [_unlocked(home, "a lock that is held was given to a second holder")]
    return [Finding(check="locks", level="ok", found="file locks exclude one another")]


def _unlocked(home: Path, why: str) -> Finding:
    return Finding(
        check="locks",
        level="problem",
        found=f"file locks do not work at {home}: {why}",
        todo="mount with locks (NFS 4, Lustre with -o flock), or two processes could hold one run",
    )


def check_disk(home: Path, free: int | None = None) -> list[Finding]:
    """Room for a run's checkpoints."""
    free = shutil.disk_usage(home).free if free is None else free
    found = f"{free / 1000**3:,.1f} GB free at {home.absolute()}"
    if free >= FEW:
        return [Finding(check="disk", level="ok", found=found)]
    todo = "free some space (zppo gc shows what nothing needs), or choose another --home"
    return [Finding(check="disk", level="problem" if free < LITTLE else "warning", found=found, todo=todo)]


def leave_token(home: Path) -> list[Finding]:
    """Write a token that another machine can ask for, and say how; one that is there stays."""
    file = home / "store" / TOKEN
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.is_file():
            file.write_text(secrets.token_hex(4))
        token = file.read_text()
    except OSError as error:
        return [Finding(check="token", level="problem", found=str(error), todo="see the store's finding")]
    return [
        Finding(
            check="token",
            level="ok",
            found=f"on a machine of another pool: zppo doctor --home HOME --store-token {token}",
        )
    ]


def check_token(home: Path, token: str) -> list[Finding]:
    """Whether this machine sees the store in which another one left a token."""
    file = home / "store" / TOKEN
    seen = file.read_text() if file.is_file() else "none"
    if seen == token:
        return [
            Finding(check="token", level="ok", found=f"{home.absolute()} is the store with token {token}")
        ]
    return [
        Finding(
            check="token",
            level="problem",
            found=f"{home.absolute()} is another store than the one with token {token}: it has {seen}",
            todo="mount the same file system on both machines, and give each its own path of it as --home",
        )
    ]


@contextmanager
def _scratch(parent: Path) -> Iterator[Path]:
    parent.mkdir(parents=True, exist_ok=True)
    directory = parent / f"doctor-{secrets.token_hex(4)}"
    directory.mkdir()
    try:
        yield directory
    finally:
        shutil.rmtree(directory)
