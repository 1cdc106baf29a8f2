from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from zppo.layout import partial
from zppo.stages.journal import JOURNAL, Journal, in_turn
from zppo.stores.local import LocalStore

PATH = partial("precompute", "0" * 64)


def test_of_many_that_need_a_journal_each_has_it_alone_and_a_removal_disturbs_nobody(tmp_path: Path) -> None:
    inside: list[int] = []

    def take_turns(number: int) -> None:
        store = LocalStore(tmp_path)
        for _ in range(10):
            with in_turn(store, PATH, lambda text: None):
                inside.append(number)
                Journal(tmp_path / PATH)
                assert inside == [number]
                inside.clear()

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(take_turns, range(6))) == [None] * 6
    assert not (tmp_path / PATH).exists()


def test_an_error_leaves_the_journal_to_whoever_comes_next(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    with pytest.raises(ZeroDivisionError), in_turn(store, PATH, lambda text: None):
        len(list(Journal(tmp_path / PATH).read())) / 0
    assert (tmp_path / PATH / JOURNAL).exists()
    with in_turn(store, PATH, lambda text: None):
        assert (tmp_path / PATH / JOURNAL).exists()
    assert not (tmp_path / PATH).exists()
