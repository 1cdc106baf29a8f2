"""Runs a command and sees that nothing of it is left behind; a program of its own, without dependencies.

vLLM is a tree of processes, which outlives a killed parent. The guardian starts the command in a session of
its own and ends the whole session when the command ends, when it is asked to (SIGTERM), and when the
process that started the guardian is gone, however that ended.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from types import FrameType

_TURN_SECONDS = 0.1


def guard(parent: int, patience: float, command: list[str]) -> int:
    """Run the command to its end, or until it must end.

    Args:
        parent: Process without which the command must not run.
        patience: Seconds between SIGTERM and SIGKILL.
        command: Program and arguments.

    Returns:
        The command's exit code, negative for the signal that ended it.
    """
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        asked.append(number)

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    while child.poll() is None and not asked and os.getppid() == parent:
        time.sleep(_TURN_SECONDS)
    _end(child, patience)
    return child.wait()


def _end(child: "subprocess.Popen[bytes]", patience: float) -> None:
    """Ask the command to end, then kill what is left of its session."""
    if child.poll() is None:
        child.terminate()
        with suppress(subprocess.TimeoutExpired):
            child.wait(patience)
    # A process that stopped (SIGSTOP) hears nothing but this.
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


if __name__ == "__main__":
    code = guard(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
    sys.exit(code if code >= 0 else 128 - code)
