"""A process that ends with its parent, however that ended."""

import os
import signal
import threading
import time

_TURN_SECONDS = 0.1


def end_with_parent(parent: int) -> None:
    """Watch from a thread of its own, and kill this process once it is no longer the parent's child.

    Linux could send a signal by itself (PR_SET_PDEATHSIG), but it does so when the parent's thread ends.

    Args:
        parent: Process id of the one that started this process.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_TURN_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
