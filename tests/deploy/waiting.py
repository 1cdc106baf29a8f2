"""Waiting for what other processes do."""

import time
from collections.abc import Callable
from typing import TypeVar

import httpx

T = TypeVar("T")
LONG = 1200.0
"""Seconds that a loaded machine may take for what takes one a minute."""


def wait_for(what: str, ask: Callable[[], T | None], seconds: float = LONG, pause: float = 0.5) -> T:
    """The first answer to a question that is one."""
    deadline = time.monotonic() + seconds
    while (found := ask()) is None:
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(pause)
    return found


def answers(url: str) -> bool | None:
    """Whether a server answers well; None otherwise."""
    try:
        return httpx.get(url, timeout=5).is_success or None
    except httpx.TransportError:
        return None
