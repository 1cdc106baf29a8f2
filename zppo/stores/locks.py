"""Locks that end with the process that holds them, however it ends."""

import fcntl
import json
import math
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from pydantic import ValidationError

from schemas.base import Frozen
from zppo.errors import StoreError
from zppo.stores.files import DiskErrors

LOCK_FILE = "run.lock"

_held: set[int] = set()
"""Descriptors of the locks that this process holds."""


class InUseError(StoreError):
    """Another process or thread holds a directory."""


class Holder(Frozen):
    """The process that holds a run."""

    pid: int
    host: str


@contextmanager
def exclusive(directory: Path) -> Iterator[None]:
    """Hold `directory`, made if need be, until the block or the process ends.

    Raises `InUseError`, naming the holder, when another process or thread has it.
    """
    with DiskErrors(directory):
        descriptor = _open_lock(directory)
    try:
        if not (_acquire(descriptor) and _in_place(descriptor, directory)):
            raise InUseError(_taken(directory))
        _held.add(descriptor)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode(), 0)
        yield
    finally:
        _held.discard(descriptor)
        os.close(descriptor)


@contextmanager
def turn(
    directory: Path, seconds: float = math.inf, waits: Callable[[Holder], None] = lambda other: None
) -> Iterator[None]:
    """Hold `directory` as `exclusive` does, once whoever has it lets it go.

    Args:
        directory: Made if need be.
        seconds: Longest wait; then `InUseError` is raised.
        waits: Told once, when the wait begins, for whom.
    """
    deadline, told = time.monotonic() + seconds, False
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(exclusive(directory))
                break
            except InUseError:
                if time.monotonic() > deadline:
                    raise
            other = None if told else holder(directory)
            if other is not None:
                waits(other)
                told = True
            time.sleep(0.05)
        yield


def holder(directory: Path) -> Holder | None:
    """Who holds the directory now; None when nobody does."""
    try:
        descriptor = os.open(directory / LOCK_FILE, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        if try_lock(descriptor, shared=True):
            return None
        return _read_holder(directory)
    finally:
        os.close(descriptor)


def check_free(directory: Path) -> None:
    """Raise `InUseError`, naming the holder, when a process has the directory now; nothing is held after."""
    if holder(directory) is not None:
        raise InUseError(_taken(directory))


def try_lock(descriptor: int, shared: bool = False) -> bool:
    """Take the lock of an open file or directory if it is free; closing the descriptor gives it back."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def locked_directory(temporary: Path) -> tuple[Path, int]:
    """A new directory and the descriptor that holds its lock.

    Another process may sweep the directory away between its making and its locking; then try again.
    """
    while True:
        directory = temporary / uuid.uuid4().hex
        directory.mkdir()
        try:
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        if try_lock(descriptor) and directory.exists():
            return directory, descriptor
        os.close(descriptor)


def _open_lock(directory: Path) -> int:
    """The lock file of a directory, both made if need be."""
    while True:
        # Another process may remove the directory at any instant, within `mkdir` too.
        try:
            directory.mkdir(parents=True, exist_ok=True)
            return os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:
            pass
        except FileExistsError:
            if directory.exists() and not directory.is_dir():
                raise


def _in_place(descriptor: int, directory: Path) -> bool:
    """Whether a lock file is still the directory's: its holder may have removed the directory."""
    try:
        return os.path.samestat(os.fstat(descriptor), (directory / LOCK_FILE).stat())
    except FileNotFoundError:
        return False


def _acquire(descriptor: int) -> bool:
    """Try for a quarter of a second: `holder` of another process takes the lock for an instant."""
    for _ in range(25):
        if try_lock(descriptor):
            return True
        time.sleep(0.01)
    return False


def _read_holder(directory: Path) -> Holder:
    # An empty file: the holder took the lock this instant and has not written its name yet. None: it has
    # removed the directory.
    with suppress(ValidationError, FileNotFoundError):
        return Holder.model_validate_json((directory / LOCK_FILE).read_bytes())
    return Holder(pid=0, host="unknown")


def _taken(directory: Path) -> str:
    other = _read_holder(directory)
    return (
        f"{directory} is in use by process {other.pid} on {other.host}. Wait until it ends, or stop it and "
        "run the same command again; the lock goes with the process"
    )


def _forget_in_child() -> None:
    # A forked child shares the parent's locks; were it to outlive the parent, it would keep them.
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_forget_in_child)
