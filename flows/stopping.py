"""Stop cleanly: Ctrl-C and SIGTERM wait for the next commit, within a bound; a child ends with its parent."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

PATIENCE_SECONDS = 20.0
"""A round that does not reach its commit by then is interrupted; it will be collected again."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PR_SET_PDEATHSIG = 1


@contextmanager
def stop_at_commits() -> Iterator[Callable[[], None]]:
    """Hold back the signals that stop a run; the yielded function, called after a commit, lets them through.

    A second signal, or `PATIENCE_SECONDS` after the first, does not wait any longer. What then happens is
    up to the handlers that were there before: Python's `KeyboardInterrupt`, or Prefect's termination,
    which marks the flow run as cancelled. Outside the main thread signals cannot be handled and nothing
    is held back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    waiting: list[int] = []
    timers: list[threading.Timer] = []

    def hold(number: int, frame: FrameType | None) -> None:
        if waiting:
            release(number)
        else:
            waiting.append(number)
            timers.append(threading.Timer(PATIENCE_SECONDS, os.kill, (os.getpid(), number)))
            timers[0].daemon = True
            timers[0].start()

    def release(number: int) -> None:
        for each, handler in before.items():
            signal.signal(each, handler)
        signal.raise_signal(number)

    def commit_done() -> None:
        if waiting:
            release(waiting[0])

    try:
        for number in _SIGNALS:
            signal.signal(number, hold)
        yield commit_done
    finally:
        for timer in timers:
            timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
    # A signal that came after the last commit.
    commit_done()


def end_with_parent(number: int = signal.SIGTERM) -> None:
    """Ask the kernel to send this child a signal when its parent dies, of a SIGKILL too; Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
