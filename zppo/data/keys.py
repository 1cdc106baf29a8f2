"""An index on disk from 64-bit keys to positions, for data in which most keys are new.

A key that was never added costs no read, since a filter in memory knows it, and adding one seldom costs a
write, since entries are written in parts of many. A tree of random keys, as a database's index is, reads and
writes a page for each key once it has outgrown its cache.
"""

import sqlite3
from struct import Struct

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.int64]
Positions = NDArray[np.int64]

BUCKET_BITS = 14
"""Entries are dealt out by the first bits of their key, so that a key is sought among few of them."""
_BUCKETS = 1 << BUCKET_BITS
_ENTRY = Struct("=qq")
"""A key and its position."""
_NUMBER_BITS = 32
_FILTER_SHARE = 2 / 3
"""Of the memory; entries that are not yet written have the rest."""
_HALF = np.uint64(32)
_NONE = np.empty(0, dtype=np.int64)


class KeyIndex:
    """Positions by key, in a table of a scratch database; a key may have any number of them."""

    def __init__(self, connection: sqlite3.Connection, memory_bytes: int) -> None:
        self._connection = connection
        self._filter = BloomFilter(int(memory_bytes * _FILTER_SHARE))
        self._recent = [bytearray() for _ in range(_BUCKETS)]
        self._part_bytes = memory_bytes * (1 - _FILTER_SHARE) / _BUCKETS
        self._parts = 0
        connection.execute("DROP TABLE IF EXISTS part")
        connection.execute("CREATE TABLE part (number INTEGER PRIMARY KEY, entries BLOB)")

    def find(self, keys: Keys) -> list[Positions]:
        """Positions of each key, in the order they were added."""
        maybe = self._filter.may_hold(keys)
        return [
            self._positions(key) if held else _NONE for key, held in zip(keys.tolist(), maybe, strict=True)
        ]

    def add(self, keys: Keys, position: int) -> None:
        """Add one position to several keys."""
        self._filter.add(keys)
        for key in keys.tolist():
            bucket = _bucket(key)
            recent = self._recent[bucket]
            recent += _ENTRY.pack(key, position)
            if len(recent) >= self._part_bytes:
                self._write(bucket)

    def _positions(self, key: int) -> Positions:
        bucket = _bucket(key)
        first = bucket << _NUMBER_BITS
        parts = self._connection.execute(
            "SELECT entries FROM part WHERE number BETWEEN ? AND ? ORDER BY number",
            (first, first + (1 << _NUMBER_BITS) - 1),
        )
        written = b"".join(entries for (entries,) in parts)
        entries = np.frombuffer(written + self._recent[bucket], dtype=np.int64).reshape(-1, 2)
        found: Positions = entries[entries[:, 0] == key, 1]
        return found

    def _write(self, bucket: int) -> None:
        number = (bucket << _NUMBER_BITS) + self._parts
        self._connection.execute("INSERT INTO part VALUES (?, ?)", (number, bytes(self._recent[bucket])))
        self._recent[bucket] = bytearray()
        self._parts += 1


class BloomFilter:
    """Tells which keys were never added; of the others a few were not either.

    A key sets four bits of one word, so that it costs one access to memory (blocked Bloom filter, Putze,
    Sanders and Singler 2007). At 13 bits a key about 1% of the keys that were not added seem to be.
    """

    def __init__(self, memory_bytes: int) -> None:
        self._words = np.zeros(max(1, memory_bytes // 8), dtype=np.uint64)
        self._count = np.uint64(self._words.size)

    def add(self, keys: Keys) -> None:
        """Remember keys."""
        np.bitwise_or.at(self._words, self._places(keys), _patterns(keys))

    def may_hold(self, keys: Keys) -> list[bool]:
        """Whether each key may have been added."""
        patterns = _patterns(keys)
        held: list[bool] = (self._words[self._places(keys)] & patterns == patterns).tolist()
        return held

    def _places(self, keys: Keys) -> NDArray[np.uint64]:
        high = keys.view(np.uint64) >> _HALF
        return high * self._count >> _HALF


def _patterns(keys: Keys) -> NDArray[np.uint64]:
    patterns: NDArray[np.uint64] = _PATTERNS[keys & (_PATTERNS.size - 1)]
    return patterns


def _bucket(key: int) -> int:
    return key >> (64 - BUCKET_BITS) & (_BUCKETS - 1)


def _words_of_four_bits(count: int) -> NDArray[np.uint64]:
    bits = np.random.default_rng(0).random((count, 64)).argsort(axis=1)[:, :4].astype(np.uint64)
    words: NDArray[np.uint64] = np.bitwise_or.reduce(np.uint64(1) << bits, axis=1)
    return words


_PATTERNS = _words_of_four_bits(1 << 12)
