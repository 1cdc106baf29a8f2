"""The file system calls behind a commit, and what their failures mean to a user."""

import errno
import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from zppo.errors import StoreError


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _sync(path: Path) -> None:
    """Force a file's content, or a directory's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class Operations:
    """Every call by which the store changes the disk: the points at which a commit can be cut short.

    The fault tests replace them to kill the process before and after each call.
    """

    make_directory: Callable[[Path], None] = os.mkdir
    write: Callable[[Path, bytes], None] = _write
    sync: Callable[[Path], None] = _sync
    link: Callable[[str, str], None] = os.link
    rename: Callable[[Path, Path], None] = os.replace
    remove: Callable[[Path], None] = shutil.rmtree


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class DiskErrors:
    """Turns a full or read-only disk, met in its `with` block, into a `StoreError` that says what to do.

    Looks at every exception, since native libraries report the system's error in an exception of their own:
    safetensors and tokenizers in its text, SQLite as a code.
    """

    def __init__(self, target: Path) -> None:
        self._target = target

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception) and not isinstance(error, StoreError):
            number = _system_error(error)
            if number in _FULL:
                raise StoreError(
                    f"cannot write {self._target}: the disk is full ({_free(self._target)}). Nothing was "
                    "committed and nothing is lost: free some space, or move the home directory to a "
                    "larger disk, and run the same command again"
                ) from error
            if number in _DENIED:
                raise StoreError(
                    f"cannot write {self._target}: {error}. Make the directory writable for "
                    "this user, or choose another home directory, and run the same command again"
                ) from error


def is_disk_full(error: BaseException) -> bool:
    """Whether an error says that a disk is full; a server's or a database's says so in its text."""
    number = error.errno if isinstance(error, OSError) else None
    return number in _FULL or "disk is full" in str(error) or os.strerror(errno.ENOSPC) in str(error)


_FULL = {errno.ENOSPC, errno.EDQUOT}
_DENIED = {errno.EROFS, errno.EACCES, errno.EPERM}
_SQLITE = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_CANTOPEN: errno.EROFS,
}
"""SQLite's codes, and what the system said that led to them where a file is being written."""


def _system_error(error: Exception) -> int:
    """The system's error number, 0 if the exception is not about one."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    if isinstance(error, sqlite3.Error):
        # An extended code has the primary one in its lowest byte; SQLite raises no error without a code.
        return _SQLITE.get(error.sqlite_errorcode & 0xFF, 0)
    text = str(error)
    return next((number for number in _FULL | _DENIED if f"os error {number})" in text), 0)


def _free(target: Path) -> str:
    existing = next(path for path in (target, *target.parents) if path.exists())
    return f"{shutil.disk_usage(existing).free:,} bytes free"
