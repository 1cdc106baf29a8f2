"""When a request may be sent: an even rate, the server's wishes, back-off with jitter."""

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import Random

import anyio


class Pace:
    """Spreads amounts evenly below a rate per minute; without a rate nothing waits."""

    def __init__(self, per_minute: int | None) -> None:
        self._seconds_each = 60.0 / per_minute if per_minute else 0.0
        self._free_at = 0.0

    async def take(self, amount: int = 1) -> None:
        """Wait for the turn of so many requests or tokens."""
        if not self._seconds_each:
            return
        turn = max(time.monotonic(), self._free_at)
        self._free_at = turn + amount * self._seconds_each
        await anyio.sleep(max(0.0, turn - time.monotonic()))

    def give_back(self, amount: int) -> None:
        """So many of those taken were not used after all."""
        self._free_at -= amount * self._seconds_each


class Gate:
    """Closed for all requests while the server asks them to wait."""

    def __init__(self) -> None:
        self._opens_at = 0.0

    def close(self, seconds: float) -> None:
        """Let nothing through for so long from now."""
        self._opens_at = max(self._opens_at, time.monotonic() + seconds)

    async def passed(self) -> None:
        """Wait until it is open."""
        while (wait := self._opens_at - time.monotonic()) > 0:
            await anyio.sleep(wait)


def backoff(attempt: int, first: float, longest: float, random: Random) -> float:
    """Seconds before another attempt: uniform up to a bound that doubles with each ("full jitter").

    After "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).

    Args:
        attempt: Attempts made, from 1.
        first: The bound after the first.
        longest: Of the bound.
        random: Where the jitter comes from.
    """
    return random.uniform(0.0, min(longest, first * 2.0 ** min(attempt - 1, 32)))


def retry_after(header: str | None, now: datetime | None = None) -> float:
    """Seconds that a `Retry-After` header asks for, given as a number or as an HTTP date (RFC 9110, 10.2.3).

    0 where there is none or it is neither.
    """
    if not header:
        return 0.0
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return 0.0
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())
