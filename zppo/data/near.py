"""Near duplicates of questions, found on disk.

MinHash signatures (Broder 1997, by datasketch) are cut into bands, and questions that share a band are
compared exactly. datasketch keeps its own index in memory or in a database server; a SQLite table of
band keys keeps memory constant for any number of questions, needs no server, and is deleted with one file.
"""

import hashlib
import math
import sqlite3
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from datasketch import MinHash  # type: ignore[import-untyped]

from zppo.data.text import Shingles, jaccard, numbers, shingles

RECALL = 0.99
"""Chance that two questions exactly at the threshold share a band."""
MIN_ROWS = 4
"""Signature rows a band: with fewer, unlike questions share bands too often."""
MAX_BANDS = 64
MAX_COMPARISONS = 64
"""Questions compared with one question, at most: bounds the time where a template repeats for ever."""


@dataclass(frozen=True)
class Banding:
    """How a signature is cut."""

    bands: int
    rows: int


def choose_banding(threshold: float) -> Banding:
    """The fewest bands whose rows are selective and still find pairs at the threshold.

    A pair of similarity `s` shares one of `b` bands of `r` rows with probability `1 - (1 - s**r)**b`.
    """
    bands = 4
    while True:
        per_band = 1 - (1 - RECALL) ** (1 / bands)
        rows = math.floor(math.log(per_band) / math.log(min(threshold, 0.99)))
        if rows >= MIN_ROWS or bands >= MAX_BANDS:
            return Banding(bands, max(1, rows))
        bands *= 2


@dataclass(frozen=True)
class Sketch:
    """What the index keeps of one question."""

    shingles: Shingles
    keys: tuple[int, ...]
    """One for each band, 64 bits; questions with different numbers share none."""


class NearIndex:
    """Finds the questions of a staging database that are nearly the same as a new one.

    Questions that have left the database are not found.
    """

    def __init__(self, connection: sqlite3.Connection, threshold: float) -> None:
        self._connection = connection
        self._threshold = threshold
        self._banding = choose_banding(threshold)
        connection.execute(
            "CREATE TABLE band (hash INTEGER, position INTEGER, PRIMARY KEY (hash, position)) WITHOUT ROWID"
        )
        connection.execute("CREATE TABLE shingle (position INTEGER PRIMARY KEY, hashes BLOB)")

    def sketch(self, content: str) -> Sketch:
        """What `find` and `add` need of a question's content."""
        hashes = shingles(content)
        signature = self._empty.copy()
        signature.update_batch(hashes.tolist())
        salt = numbers(content).encode()
        rows = signature.hashvalues.reshape(self._banding.bands, self._banding.rows)
        keys = (
            hashlib.blake2b(bytes([band]) + row.tobytes() + salt, digest_size=8)
            for band, row in enumerate(rows)
        )
        return Sketch(hashes, tuple(int.from_bytes(key.digest(), "big", signed=True) for key in keys))

    def find(self, sketch: Sketch) -> int | None:
        """Position of the earliest question that is at least as similar as the threshold."""
        marks = ",".join("?" * len(sketch.keys))
        rows = self._connection.execute(
            "SELECT DISTINCT position, hashes "
            "FROM band CROSS JOIN shingle USING (position) CROSS JOIN question USING (position) "
            f"WHERE hash IN ({marks}) ORDER BY position LIMIT {MAX_COMPARISONS}",
            sketch.keys,
        )
        for position, hashes in rows:
            if jaccard(sketch.shingles, np.frombuffer(hashes, dtype=np.uint32)) >= self._threshold:
                return int(position)
        return None

    def add(self, position: int, sketch: Sketch) -> None:
        """Remember a question."""
        keys = {(key, position) for key in sketch.keys}
        self._connection.executemany("INSERT INTO band VALUES (?, ?)", keys)
        self._connection.execute("INSERT INTO shingle VALUES (?, ?)", (position, sketch.shingles.tobytes()))

    @cached_property
    def _empty(self) -> MinHash:
        size = self._banding.bands * self._banding.rows
        return MinHash(num_perm=size, hashfunc=int, scheme="affine32")
