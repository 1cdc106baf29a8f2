"""The stopwatch of a round: what counts for which phase."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event

import pytest

import zppo.phases
from zppo.phases import Phases


class Clock:
    """Time that passes only when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(zppo.phases, "perf_counter", clock)
    return clock


def test_a_phase_within_another_counts_for_both(clock: Clock) -> None:
    phases = Phases()
    for _ in range(2):
        with phases.phase("collect"):
            clock.now += 1
            with phases.phase("grading"):
                clock.now += 2
    assert phases.take() == {"collect": 6.0, "grading": 4.0}
    assert phases.take() == {}


def test_what_is_timed_apart_counts_for_the_outer_phase_but_not_for_the_one_around_it(clock: Clock) -> None:
    phases = Phases()
    with phases.phase("collect"), phases.phase("grading"):
        clock.now += 1
        with phases.apart("judge"):
            clock.now += 4
        clock.now += 2
    assert phases.take() == {"collect": 7.0, "grading": 3.0, "judge": 4.0}


def test_outside_of_all_phases_apart_is_a_phase_like_any(clock: Clock) -> None:
    phases = Phases()
    with phases.apart("judge"):
        clock.now += 4
    assert phases.take() == {"judge": 4.0}


def test_the_open_phases_are_named_outermost_first_and_closed_by_an_error(clock: Clock) -> None:
    phases = Phases()
    with suppress(KeyError), phases.phase("collect"), phases.phase("grading"), phases.apart("judge"):
        clock.now += 1
        assert phases.current == "collect > grading > judge"
        raise KeyError
    assert phases.current == ""
    assert phases.take() == {"collect": 1.0, "grading": 0.0, "judge": 1.0}


def test_what_other_threads_do_counts_as_far_as_it_is_waited_for(clock: Clock) -> None:
    phases, begun, waiting = Phases(), Event(), Event()

    def work() -> None:
        with phases.phase("judge"), phases.apart("judge"):
            begun.set()
            waiting.wait(10)
            clock.now += 4

    with ThreadPoolExecutor(1) as threads:
        with phases.phase("student"):
            result = threads.submit(work)
            begun.wait(10)
            clock.now += 2
        with phases.phase("grading"):
            assert phases.current == "grading"
            waiting.set()
            result.result(10)
    assert phases.take() == {"student": 2.0, "grading": 4.0}
