"""Directories for files that go with their process."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zppo.stores.locks import locked_directory


@contextmanager
def scratch(root: Path) -> Iterator[Path]:
    """A directory of this process's own; below a home's `tmp`, one that outlives it is swept by the store."""
    root.mkdir(parents=True, exist_ok=True)
    directory, descriptor = locked_directory(root)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)
        os.close(descriptor)
