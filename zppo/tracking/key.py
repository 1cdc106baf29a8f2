"""What identifies a run on a tracking server that many homes may share."""

import uuid

from zppo.stores.local import LocalStore

_FILE = "tracking.key"


def run_key(store: LocalStore, run: str) -> str:
    """The key of the run at `run`: random, made on the first call and kept beside the run's artifacts.

    It is written before anything is sent, so that a process killed in between makes no second run.
    """
    file = store.home / run / _FILE
    if not file.is_file():
        store.write_file(f"{run}/{_FILE}", uuid.uuid4().hex.encode())
    return file.read_text()
