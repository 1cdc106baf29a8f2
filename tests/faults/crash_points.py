"""Runs one change of a store over and over, each time killed by SIGKILL at the next crash point.

Usage: `python -m tests.faults.crash_points DIRECTORY CHANGE`. Works in `DIRECTORY/0`, `DIRECTORY/1`, …, one
home for each crash point (before, after and, for writes, in the middle of every call that changes the disk),
and prints their number.
"""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from zppo.stores.files import Operations
from zppo.stores.identity import identify
from zppo.stores.local import LocalStore

PATH = "runs/a/rounds/00001/collect"
LINKED = "runs/b/rounds/00001/collect"
FILE = "runs/a/run.json"
IDENTITY = identify("collect", {"recipe": {"tau": 0.5}})


def commit(store: LocalStore) -> None:
    with store.commit(PATH, IDENTITY) as staging:
        (staging.directory / "round.json").write_text("{}")
        (staging.directory / "deep").mkdir()
        (staging.directory / "deep" / "rollouts.bin").write_bytes(bytes(1000))


CHANGES: dict[str, Callable[[LocalStore], None]] = {
    "commit": commit,
    "link": lambda store: store.link(PATH, LINKED),
    "remove": lambda store: store.remove(PATH),
    "write_file": lambda store: store.write_file(FILE, b"new" * 1000),
}


def prepare(store: LocalStore, change: str) -> None:
    """What is there before the change: an artifact to link or remove, a file to replace."""
    if change in ("link", "remove"):
        commit(store)
    if change == "write_file":
        store.write_file(FILE, b"old" * 1000)


class Killer:
    """Operations that kill the process at one of the points that they pass."""

    def __init__(self, target: int | None) -> None:
        self.passed = 0
        self._target = target

    def point(self) -> None:
        if self.passed == self._target:
            os.killpg(0, signal.SIGKILL)
        self.passed += 1

    def _wrap(self, call: Callable[..., None]) -> Callable[..., None]:
        def killed(*arguments: Any) -> None:
            self.point()
            call(*arguments)
            self.point()

        return killed

    def _write(self, path: Path, data: bytes) -> None:
        self.point()
        path.write_bytes(data[: len(data) // 2])
        self.point()
        path.write_bytes(data)
        self.point()

    def operations(self) -> Operations:
        plain = Operations()
        wrapped = {field.name: self._wrap(getattr(plain, field.name)) for field in fields(plain)}
        return Operations(**(wrapped | {"write": self._write}))


def main(directory: Path, change: str) -> None:
    points = 0
    while True:
        home = directory / str(points)
        prepare(LocalStore(home), change)
        child = os.fork()
        if child == 0:
            os.setpgid(0, 0)
            CHANGES[change](LocalStore(home, Killer(points).operations()))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            assert os.waitstatus_to_exitcode(status) == 0
            break
        points += 1
    print(points)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
