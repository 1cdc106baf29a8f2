"""Work for the processes of a study: functions that a worker imports."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from zppo.errors import InputError
from zppo.progress import Progress


def show(progress: Progress, commit_done: Callable[[], None]) -> None:
    """Every kind of message, in order."""
    progress.say("before")
    with progress.track("work", 2) as advance:
        advance(1, "half")
        advance(2, "all")
    progress.say("after")


def tell_process(progress: Progress, commit_done: Callable[[], None]) -> None:
    """Say which process this is."""
    progress.say(str(os.getpid()))


def refuse(progress: Progress, commit_done: Callable[[], None]) -> None:
    """Fail as on a user's mistake."""
    raise InputError("expected something else")


def die(progress: Progress, commit_done: Callable[[], None]) -> None:
    """End as when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


def commit_slowly(directory: Path, progress: Progress, commit_done: Callable[[], None]) -> None:
    """Begin and commit one thing after the other, until somebody stops it."""
    for index in range(1000):
        (directory / f"{index}.begun").touch()
        progress.say(str(index))
        time.sleep(0.1)
        (directory / f"{index}.committed").touch()
        commit_done()
