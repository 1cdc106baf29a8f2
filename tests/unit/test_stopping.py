"""Signals wait for a commit, within a bound."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from flows import stopping
from flows.stopping import stop_at_commits


class Stopped(BaseException):
    """What the handlers from before raise."""


def stop(number: int, frame: object) -> None:
    raise Stopped(number)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Handlers as a flow finds them."""
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


Work = Callable[[Callable[[], None]], None]


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def carry_out(work: Work) -> None:
    with stop_at_commits() as commit_done:
        work(commit_done)


def test_without_a_signal_nothing_stops() -> None:
    with stop_at_commits() as commit_done:
        commit_done()
        commit_done()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_the_next_commit_and_then_reaches_its_old_handler(number: int) -> None:
    steps = []

    def work(commit_done: Callable[[], None]) -> None:
        send(number)
        steps.append("the work goes on")
        commit_done()
        steps.append("never")

    with pytest.raises(Stopped) as caught:
        carry_out(work)
    assert steps == ["the work goes on"]
    assert caught.value.args == (number,)


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_does_not_wait(second: int) -> None:
    def work(commit_done: Callable[[], None]) -> None:
        send(signal.SIGINT)
        send(second)
        pytest.fail("it waited")

    with pytest.raises(Stopped) as caught:
        carry_out(work)
    assert caught.value.args == (second,)


def test_work_without_a_commit_is_interrupted_when_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(commit_done: Callable[[], None]) -> None:
        send(signal.SIGINT)
        time.sleep(30)
        pytest.fail("it waited")

    monkeypatch.setattr(stopping, "PATIENCE_SECONDS", 0.05)
    with pytest.raises(Stopped):
        carry_out(work)


def test_work_that_ends_without_a_commit_stops_all_the_same() -> None:
    with pytest.raises(Stopped):
        carry_out(lambda commit_done: send(signal.SIGTERM))


def test_the_old_handlers_are_back_afterwards() -> None:
    with stop_at_commits():
        assert signal.getsignal(signal.SIGINT) is not stop
    assert signal.getsignal(signal.SIGINT) is stop
    assert signal.getsignal(signal.SIGTERM) is stop


def test_an_error_is_not_hidden_by_a_waiting_signal() -> None:
    def work(commit_done: Callable[[], None]) -> None:
        send(signal.SIGINT)
        raise ValueError("of its own")

    with pytest.raises(ValueError, match="of its own"):
        carry_out(work)


def test_outside_the_main_thread_nothing_is_held_back() -> None:
    done = []

    def work() -> None:
        with stop_at_commits() as commit_done:
            commit_done()
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]
    assert signal.getsignal(signal.SIGINT) is stop
