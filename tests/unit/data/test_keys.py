import sqlite3
from collections import defaultdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from zppo.data.keys import BloomFilter, KeyIndex

KEYS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-3, 3))
ADDED = st.lists(st.tuples(st.lists(KEYS, min_size=1, max_size=8), st.integers(0, 2**40)), max_size=60)


@given(added=ADDED, others=st.lists(KEYS, max_size=8), memory=st.sampled_from([1, 1 << 16, 1 << 21]))
def test_every_position_of_a_key_is_found_and_none_besides(
    added: list[tuple[list[int], int]], others: list[int], memory: int
) -> None:
    index = KeyIndex(sqlite3.connect(":memory:"), memory)
    expected = defaultdict(list)
    for keys, position in added:
        index.add(np.array(keys, dtype=np.int64), position)
        for key in keys:
            expected[key].append(position)
    asked = np.array([*expected, *others], dtype=np.int64)
    assert [found.tolist() for found in index.find(asked)] == [
        expected.get(key, []) for key in asked.tolist()
    ]


def test_a_filter_with_room_is_seldom_wrong_about_keys_that_were_not_added() -> None:
    random = np.random.default_rng(0)
    added, others = random.integers(-(2**63), 2**63 - 1, size=(2, 50_000), dtype=np.int64)
    held = BloomFilter(50_000 * 13 // 8)
    held.add(added)
    assert all(held.may_hold(added))
    assert sum(held.may_hold(others)) < 0.02 * others.size
