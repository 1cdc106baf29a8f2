"""Work beside the main thread: order, lag, errors."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event, get_ident

import pytest

from zppo.beside import Behind, threads


def _fail() -> None:
    raise ZeroDivisionError


def test_pieces_are_done_in_order_in_one_other_thread() -> None:
    done: list[tuple[int, int]] = []
    with Behind("test") as behind:
        for index in range(5):
            behind.do(lambda index=index: done.append((index, get_ident())))  # type: ignore[misc]
    assert [index for index, _ in done] == list(range(5))
    assert len({thread for _, thread in done} - {get_ident()}) == 1


def test_the_caller_is_one_piece_ahead_and_never_two() -> None:
    gate, second, waited = Event(), Event(), list[bool]()
    with Behind("test") as behind, ThreadPoolExecutor(1) as caller:
        behind.do(lambda: waited.append(gate.wait(10)))  # returns at once, though the piece is not done
        ahead = caller.submit(behind.do, second.set)
        assert not ahead.done()
        assert not second.is_set()
        gate.set()
        ahead.result(10)
    assert second.is_set()
    assert waited == [True]


def test_an_error_is_raised_at_the_next_piece_and_once() -> None:
    done: list[str] = []
    with Behind("test") as behind:
        behind.do(_fail)
        with pytest.raises(ZeroDivisionError):
            behind.do(lambda: done.append("not reached"))
        behind.do(lambda: done.append("after"))
    assert done == ["after"]


def test_an_error_of_the_last_piece_is_raised_at_the_end_unless_the_block_has_failed() -> None:
    with pytest.raises(ZeroDivisionError), Behind("test") as behind:
        behind.do(_fail)
    with pytest.raises(KeyError, match="the block's"), Behind("test") as behind:  # noqa: PT012
        behind.do(_fail)
        raise KeyError("the block's")


def test_a_block_that_fails_does_not_wait_for_its_threads() -> None:
    gate = Event()
    with pytest.raises(KeyError), threads(1) as beside:  # noqa: PT012
        beside.teacher.submit(gate.wait, 60)
        raise KeyError
    gate.set()
