r"""Extractive shortening of responses to candidates: the last steps, then the boxed answer.

The same function shortens the teacher's and the student's responses.
"""

import re
from collections.abc import Callable
from functools import cache

from zppo.core.answers import boxed, last_box

_TAG = re.compile(r"</?think>", re.IGNORECASE)
_BOX = re.compile(r"\\boxed\b")
_OPENINGS = ("$", r"\[", r"\(")
_NEWLINE = "\n"


def shorten(text: str, *, max_lines: int, max_tokens: int, count_tokens: Callable[[str], int]) -> str | None:
    r"""The end of a response, think tags removed, within both limits.

    With an answer the result ends in `\boxed{answer}`, its only box, and what the response says after the
    answer is left out; without one it holds no box. Shortening twice changes nothing.

    Args:
        text: The response.
        max_lines: Most lines of the result.
        max_tokens: Most tokens of the result.
        count_tokens: Length of a text in tokens; must not shrink as the text grows.

    Returns:
        None when nothing is left: an empty response, or an answer that is over the limit by itself.
    """
    box = last_box(text)
    ending = boxed(box.content) if box else ""
    body = _without_openings(_bare(text[: box.start])) if box else _bare(text)
    count = cache(count_tokens)  # what is returned was counted already
    lines = [words for line in body.splitlines() if (words := " ".join(line.split()))][-max_lines:]

    def joined(lines: list[str]) -> str:
        return f"{_NEWLINE.join(lines)} {ending}".strip()

    def fits(lines: list[str]) -> bool:
        result = joined(lines)
        return len(result.splitlines()) <= max_lines and count(result) <= max_tokens

    while len(lines) > 1 and not fits(lines):
        lines = lines[1:]
    if lines and not fits(lines):
        lines = [_last_words(lines[0], lambda words: fits([words]))]
    return joined(lines) if joined(lines) and fits(lines) else None


def _bare(text: str) -> str:
    """Without tags and box commands."""
    return _BOX.sub(" ", _TAG.sub(" ", text)).rstrip()


def _without_openings(text: str) -> str:
    """Without the math delimiters that opened before the box and would now stay open."""
    while text.endswith(_OPENINGS):
        text = text.removesuffix("$").removesuffix(r"\[").removesuffix(r"\(").rstrip()
    return text


def _last_words(line: str, fits: Callable[[str], bool]) -> str:
    """As many of the last words as fit, found by bisection."""
    words = line.split()
    low, high = 0, len(words)  # `low` words fit, or nothing does
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(" ".join(words[-middle:])) else (low, middle - 1)
    return " ".join(words[len(words) - low :])
