"""How much space directories take, and how much of it their removal gives back."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Size:
    """Of one directory, in bytes."""

    total: int
    """Of its files."""
    freed: int
    """By its removal: files with hard links that stay elsewhere free nothing."""


def sizes(directories: Sequence[Path]) -> list[Size]:
    """The sizes of directories that are removed one after the other.

    What several of them share is freed by the last one, and only if no link to it stays.
    """
    seen: Counter[tuple[int, int]] = Counter()
    found = []
    for directory in directories:
        total = freed = 0
        for status in _files(directory):
            inode = status.st_dev, status.st_ino
            seen[inode] += 1
            total += status.st_size
            freed += status.st_size if seen[inode] == status.st_nlink else 0
        found.append(Size(total, freed))
    return found


def _files(directory: Path) -> Iterator[os.stat_result]:
    for parent, _, names in os.walk(directory):
        for name in names:
            with suppress(FileNotFoundError):  # of a live process
                yield (Path(parent) / name).lstat()
