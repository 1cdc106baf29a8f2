from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zppo.endpoints.pace import backoff, retry_after

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@given(attempt=st.integers(1, 10_000), seed=st.integers(0, 99))
def test_a_back_off_lies_below_a_bound_that_doubles_up_to_the_longest(attempt: int, seed: int) -> None:
    wait = backoff(attempt, 0.5, 30.0, Random(seed))
    assert 0.0 <= wait <= min(30.0, 0.5 * 2 ** min(attempt - 1, 20))


def test_back_offs_of_one_seed_repeat() -> None:
    first, second = Random(7), Random(7)
    assert [backoff(a, 1, 60, first) for a in range(1, 9)] == [backoff(a, 1, 60, second) for a in range(1, 9)]


@given(seconds=st.integers(0, 10**6))
def test_retry_after_is_read_as_seconds_and_as_an_http_date(seconds: int) -> None:
    assert retry_after(str(seconds)) == seconds
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert retry_after(date, NOW) == seconds


@pytest.mark.parametrize("header", [None, "", "soon", "-5", "nan", "Fri, 02 Jan 1970 00:00:00 GMT"])
def test_a_retry_after_that_says_nothing_asks_for_no_wait(header: str | None) -> None:
    assert retry_after(header, NOW) == 0.0


@given(header=st.text(max_size=40))
def test_no_retry_after_header_is_an_error(header: str) -> None:
    assert retry_after(header, NOW) >= 0.0
