"""What long work shows of itself."""

import io
from collections.abc import Iterable

import pytest

from zppo.progress import LINE_SECONDS, Lines, choose_progress, clock_text, time_left


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def lines_of(steps: Iterable[tuple[float, int, str]], total: int, done: int = 0) -> list[str]:
    """What is printed when work reports `(second, units done, note)`."""
    stream, clock = io.StringIO(), Clock()
    started = clock.now
    with Lines(stream, clock).track("train", total, done) as advance:
        for second, now_done, note in steps:
            clock.now = started + second
            advance(now_done, note)
    return stream.getvalue().splitlines()


def test_lines_are_at_least_a_few_seconds_apart_and_the_last_one_always_shows() -> None:
    steps = [(LINE_SECONDS * step / 4, step, "") for step in range(1, 11)]
    shown = [int(line.split()[1].split("/")[0]) for line in lines_of(steps, total=10)]
    assert shown == [4, 8, 10]


def test_the_time_left_counts_only_what_this_process_did() -> None:
    (line,) = lines_of([(10.0, 60, "plain 0.25")], total=100, done=50)
    assert line == "train        60/100  plain 0.25  0:40 left"


def test_a_note_is_not_needed() -> None:
    assert lines_of([(1.0, 2, "")], total=2) == ["train       2/2  0:00 left"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (7.4, "0:07"), (59.6, "1:00"), (65, "1:05"), (7389, "2:03:09")]
)
def test_a_clock_text_is_rounded_to_seconds(seconds: float, text: str) -> None:
    assert clock_text(seconds) == text


def test_before_anything_is_done_no_time_left_is_claimed() -> None:
    assert time_left(10.0, 0, 5) == ""
    assert time_left(10.0, 2, 5) == "0:25 left"


def test_a_log_gets_lines_as_they_are() -> None:
    stream = io.StringIO()
    choose_progress(stream).say("[bold]not markup[/bold]")
    assert stream.getvalue() == "[bold]not markup[/bold]\n"
