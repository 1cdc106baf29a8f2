r"""Comparison of short answers that needs no mathematics: exact text, numbers, options.

Every function is total and linear in the length of its text; no number of more digits than a fixed bound
is ever converted.
"""

import re
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

from zppo.core.answers import normalise_boxed

_MARKS = re.compile(r"\\?%|\^\s*\{\s*\\circ\s*\}|\^\s*\\circ|\\degree|°")
_NOISE = re.compile(r"\\(?:text|mathrm|mbox)\s*\{[^{}]*\}|\\[,;:! ]|\\?\$|\s")
_DIGITS = r"(?:[0-9]{1,3}(?:,[0-9]{3}){1,100}|[0-9]{1,400})"
_NUMBER = rf"(?:{_DIGITS}(?:\.[0-9]{{0,400}})?|\.[0-9]{{1,400}})(?:e[+-]?[0-9]{{1,3}})?"
_QUOTIENT = re.compile(
    rf"(?P<sign>[+-]?)(?:\\[dt]?frac\{{(?P<a>-?{_NUMBER})\}}\{{(?P<b>-?{_NUMBER})\}}"
    rf"|(?P<c>{_NUMBER})(?:/(?P<d>{_NUMBER}))?)(?P<percent>\\?%)?"
)
_LETTER = re.compile(r"\(?([A-Za-z])(?:\)|\.|:|\b)\s*(.*)", re.DOTALL)
_WORDS = re.compile(r"[^\W\d_]+(?:[\s,.']+[^\W\d_]+)*[.!]?")
_FUNCTIONS = frozenset(("sin", "cos", "tan", "cot", "sec", "csc", "log", "exp", "sqrt", "inf"))


def strip_marks(text: str) -> str:
    """Without degree and percent marks."""
    return _MARKS.sub("", text).strip()


def same_text(gold: str, answer: str) -> bool:
    r"""Equal after lower-casing, collapsing white space and stripping `\text{}` and dollar signs."""
    return _plain(gold) == _plain(answer)


@lru_cache(maxsize=256)
def number(text: str) -> Fraction | None:
    r"""Value of a number, or None: `1,234.5`, `-3/4`, `\frac{3}{4}`, `2e-3`, `50%`, `\$18`, `18\text{ m}`.

    Commas separate thousands only; units stand in `\text{}`.
    """
    match = _QUOTIENT.fullmatch(_NOISE.sub("", text.replace("−", "-").replace("{,}", ",")).lower())
    if match is None:
        return None
    top, bottom = (match["a"], match["b"]) if match["a"] else (match["c"], match["d"] or "1")
    divisor = _fraction(bottom) * (100 if match["percent"] else 1)
    if divisor == 0:
        return None
    return (-1 if match["sign"] == "-" else 1) * _fraction(top) / divisor


def same_number(gold: str, answer: str, relative_tolerance: float) -> bool:
    """Equal within the tolerance, as written or with degree and percent marks stripped from both."""
    if _close(number(gold), number(answer), relative_tolerance):
        return True
    plain_gold, plain_answer = strip_marks(gold), strip_marks(answer)
    if (plain_gold, plain_answer) == (gold, answer):
        return False
    return _close(number(plain_gold), number(plain_answer), relative_tolerance)


def option(text: str, choices: Sequence[str]) -> str | None:
    """Letter of the option that a text names, or None: `B`, `(b)`, `B. Paris`, or the option's own text.

    A letter counts only where there is such an option; with no options given any letter does.
    """
    text = _plain(text)
    letters = "abcdefghijklmnopqrstuvwxyz"[: len(choices) or 26]
    by_text = {_plain(choice): letter for choice, letter in zip(choices, letters, strict=False)}
    match = _LETTER.fullmatch(text)
    if match and match[1] in letters and (not match[2] or by_text.get(match[2]) == match[1]):
        return match[1].upper()
    letter = by_text.get(text)
    return letter.upper() if letter else None


def same_option(gold: str, answer: str, choices: Sequence[str]) -> bool:
    """Whether both name the same option."""
    named = option(answer, choices)
    return named is not None and named == option(gold, choices)


def is_words(text: str) -> bool:
    """Whether a text is made of words, such as `no solution`, and so is no formula.

    A computer algebra system would read it as a product of letters, in which `listen` equals `silent`.
    """
    plain = _plain(text)
    long_words = (word for word in re.findall(r"\w{3,}", plain) if word not in _FUNCTIONS)
    return _WORDS.fullmatch(plain) is not None and any(long_words)


def nesting(text: str) -> int:
    """Greatest depth of brackets of any sort."""
    depth = deepest = 0
    for character in text:
        if character in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in ")]}":
            depth = max(depth - 1, 0)
    return deepest


def _plain(text: str) -> str:
    return normalise_boxed(text).strip("$ ")


def _fraction(digits: str) -> Fraction:
    return Fraction(digits.replace(",", ""))


def _close(gold: Fraction | None, answer: Fraction | None, relative_tolerance: float) -> bool:
    if gold is None or answer is None:
        return False
    # In whole numbers, which are exact and faster than fractions.
    left, right = gold.numerator * answer.denominator, answer.numerator * gold.denominator
    share, of = relative_tolerance.as_integer_ratio()
    return abs(left - right) * of <= share * max(abs(left), abs(right))
