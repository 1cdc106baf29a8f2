"""Near duplicates of questions, found on disk.

MinHash signatures (Broder 1997, by datasketch) are cut into bands, and questions that share a band are
compared exactly. datasketch keeps its own index in memory or in a database server; `KeyIndex` keeps memory
constant for any number of questions, needs no server, and is deleted with one file.
"""

import hashlib
import math
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from datasketch import MinHash  # type: ignore[import-untyped]
from numpy.typing import NDArray

from zppo.data.keys import KeyIndex, Keys, Positions
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
class Search:
    """What a search among the staged questions brought, and what remembering the new question needs."""

    position: int | None
    """Of the earliest question that is at least as similar as the threshold."""
    shingles: Shingles
    keys: Keys
    """One for each band, 64 bits; questions with different numbers share none."""
    room: NDArray[np.bool_]
    """Which keys lead to fewer than `MAX_COMPARISONS` questions."""


class NearIndex:
    """Finds the questions of a staging database that are nearly the same as a new one."""

    def __init__(self, connection: sqlite3.Connection, threshold: float, memory_bytes: int) -> None:
        self._connection = connection
        self._threshold = threshold
        self._banding = choose_banding(threshold)
        self._memory_bytes = memory_bytes
        self._keys = KeyIndex(connection, memory_bytes)
        connection.execute("CREATE TABLE shingle (position INTEGER PRIMARY KEY, hashes BLOB, keys BLOB)")

    def search(self, content: str) -> Search:
        """Look for a question's near duplicate by its content."""
        hashes = shingles(content)
        keys = self._band_keys(hashes, numbers(content))
        places = self._keys.find(keys)
        return Search(self._first_similar(hashes, places), hashes, keys, _room(places))

    def add(self, position: int, search: Search) -> None:
        """Remember a question that was searched for just now.

        A key that leads to `MAX_COMPARISONS` questions takes no more: they would never be looked at, and
        where a template repeats for ever, to read them would take a time that grows with their number.
        """
        self._connection.execute(
            "INSERT INTO shingle VALUES (?, ?, ?)",
            (position, search.shingles.tobytes(), search.keys.tobytes()),
        )
        self._keys.add(search.keys[search.room], position)

    def forget_the_gone(self) -> None:
        """Index again what is still staged, so that questions which left are not found and take no room."""
        del self._keys  # its memory is the next one's
        self._keys = KeyIndex(self._connection, self._memory_bytes)
        rows = self._connection.execute(
            "SELECT position, keys FROM shingle JOIN question USING (position) ORDER BY position"
        )
        for position, stored in rows:
            keys = np.frombuffer(stored, dtype=np.int64)
            self._keys.add(keys[_room(self._keys.find(keys))], position)

    def _first_similar(self, hashes: Shingles, places: Sequence[Positions]) -> int | None:
        positions: list[int] = sorted({position for found in places for position in found.tolist()})
        for position in positions[:MAX_COMPARISONS]:
            (stored,) = self._connection.execute(
                "SELECT hashes FROM shingle WHERE position = ?", (position,)
            ).fetchone()
            if jaccard(hashes, np.frombuffer(stored, dtype=np.uint32)) >= self._threshold:
                return position
        return None

    def _band_keys(self, hashes: Shingles, salt: str) -> Keys:
        self._signature.clear()
        self._signature.update_batch(hashes.tolist())
        rows, end = self._signature.hashvalues.tobytes(), salt.encode()
        size = len(rows) // self._banding.bands
        digests = (
            hashlib.blake2b(
                bytes([band]) + rows[band * size : (band + 1) * size] + end, digest_size=8
            ).digest()
            for band in range(self._banding.bands)
        )
        return np.frombuffer(b"".join(digests), dtype=np.int64)

    @cached_property
    def _signature(self) -> MinHash:
        size = self._banding.bands * self._banding.rows
        return MinHash(num_perm=size, hashfunc=int, scheme="affine32")


def _room(places: Sequence[Positions]) -> NDArray[np.bool_]:
    return np.array([len(positions) < MAX_COMPARISONS for positions in places])
