r"""Whether a hint gives the answer away. When in doubt it does.

Hint and answer are brought to one form first: markup, units' marks and LaTeX spacing go, and every number,
in digits or as a word, becomes its reduced fraction. So `0.50`, `\frac{1}{2}` and `1/2` are one answer.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from string import ascii_uppercase

from schemas.question import Question

_BOX = re.compile(r"\\f?box(?:ed)?", re.IGNORECASE)
_DIGITS = r"\d{1,300}"  # longer ones are left as they are: Python refuses to convert them
_NUMBER = re.compile(
    rf"(?<!\d)(?<!\d\.)(?P<top>{_DIGITS}(?:\.{_DIGITS})?|(?<![\w.])\.{_DIGITS})"
    rf"(?:/(?P<bottom>{_DIGITS}(?:\.{_DIGITS})?))?"
)
_TO_TEN = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
_TEENS = ["thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_WORDS = [*_TO_TEN, "eleven", "twelve", *_TEENS, "twenty"]
"""Of the numbers from 0 on, in order."""
_NUMBER_WORD = re.compile(rf"\b(?:{'|'.join(_WORDS)})\b", re.IGNORECASE)
_REWRITES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"(?<![\w*])(\*{1,3}|_{1,3})(?=\S)(.+?)(?<=\S)\1(?!\w)", r" \2 "),  # Markdown's emphasis
        (r"\\(?:text\w*|math\w+|mbox|operatorname|emph)\s*\{([^{}]*)\}", r" \1 "),
        (r"\\?%|\^\s*\{?\s*\\circ\s*\}?|\\degree|°", " "),
        (r"(?<=\d)(?:\{,\}|\\[,!]|,)(?=\d{3}(?!\d))", ""),  # between thousands
        (r"\\[dt]?frac\s*\{\s*(-?[\d.]+)\s*\}\s*\{\s*([\d.]+)\s*\}", r" \1/\2 "),
        (r"\\[dt]?frac\s*(\d)\s*(\d)", r" \1/\2 "),
        (r"\\[,;:!()\[\]\\ ]|\\?\$|\\(?:left|right|q?quad|displaystyle)(?![a-zA-Z])|[~&]", " "),
        (r"\^\s*\{(\w+)\}", r"^\1"),
        (r"(?<=[=:≈])\s*\+", " "),  # a sign, not an operation
    )
)
_SYMBOLS = str.maketrans({"−": "-", "⁄": "/"})
_TOKEN = re.compile(r"\\?[^\W\d]+|\d+(?:/\d+)?|\S")
_OPTION = re.compile(r"\(?([A-Za-z])[).:]\s*(.*)", re.DOTALL)
_LONE_NUMBER = re.compile(r"(?<![\w./^+*-])-?\d+(?:/\d+)?(?![\w]|[./]\d)")
_UNIT = re.compile(r"(?:[^\W\d]|[\s=:.,;()/]|\^-?\d)*")
_OPERATOR = r"[-+*/^×·÷]"
_NO_OPERAND = "".join(rf"(?<!{before}{_OPERATOR})" for before in (r"\A", r"[\s\d(){}\[\]|]", r"\b[^\W\d]"))
"""Not right behind an operator: `+3` and `x*3` do not say that the answer is 3. Behind a word of several
letters the same character is a hyphen."""


def reveals(hint: str, answers: Sequence[str]) -> bool:
    r"""Whether a hint holds a box, or one of the answers as a token of its own.

    Of its own is `13` in `= 13` and `(13)`, but not in `130`, `1.3`, `x13`, `13x`, `+13` or `13/4`. Case
    counts for an answer of a single letter only.

    Args:
        hint: What the student would read.
        answers: What it must not hold; see `secrets`.
    """
    text = _plain(hint)
    return _BOX.search(unicodedata.normalize("NFKC", hint)) is not None or any(
        _shows(text, answer) for answer in answers
    )


def secrets(question: Question, answer: str | None) -> tuple[str, ...]:
    """What a hint made from a response must not hold: its final answer and the gold one.

    An option of a multiple-choice question is named by its letter and by its text.
    """
    known = [question.answer] if answer is None else [question.answer, answer]
    options = dict(zip(ascii_uppercase, question.choices, strict=False))
    letters = {_plain(text).strip(): letter for letter, text in options.items()}
    named = [options.get(each.strip(" ().:").upper()) for each in known]
    lettered = [letters.get(_plain(each).strip()) for each in known]
    return tuple(dict.fromkeys(each for each in (*known, *named, *lettered) if each is not None))


def _shows(text: str, answer: str) -> bool:
    """Whether a plain text holds an answer; one of which nothing is left to look for counts as shown."""
    patterns = _patterns(answer)
    return not patterns or any(pattern.search(text) for pattern in patterns)


@lru_cache(maxsize=256)
def _patterns(answer: str) -> tuple[re.Pattern[str], ...]:
    forms = {form.strip(): None for form in _forms(_plain(answer).strip(" .,;"))}
    return tuple(_pattern(form) for form in forms if form)


def _forms(answer: str) -> Iterator[str]:
    """Ways to write an answer: whole, without its variable, brackets or unit, its option letter and text."""
    yield answer
    yield answer.rpartition("=")[2]
    if answer[:1] in ("(", "[", "{") and answer[-1:] in (")", "]", "}"):
        yield answer[1:-1]
    if option := _OPTION.fullmatch(answer):
        yield from option.groups()
    numbers = _LONE_NUMBER.findall(answer)
    if len(numbers) == 1 and _UNIT.fullmatch(_LONE_NUMBER.sub("", answer)):
        yield numbers[0]


def _pattern(form: str) -> re.Pattern[str]:
    """Finds a form as a token of its own, white space between its parts left open."""
    tokens = _TOKEN.findall(form)
    body = r"\s*".join(re.escape(token).replace("/", r"\s*/\s*") for token in tokens)
    start = {"-": r"(?<![\w)])"}.get(form[0], r"(?<!\w)(?<!\d[./])" if form[0].isalnum() else "")
    end = r"(?!\w)(?![./]\d)" if form[-1].isalnum() else ""
    alone = _NO_OPERAND if len(tokens) == 1 else ""
    flags = re.NOFLAG if len(form) == 1 else re.IGNORECASE
    return re.compile(start + alone + body + end, flags)


def _plain(text: str) -> str:
    """The form in which hints and answers are compared; case stays."""
    text = unicodedata.normalize("NFKC", text).translate(_SYMBOLS)
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    text = _NUMBER_WORD.sub(lambda word: str(_WORDS.index(word[0].lower())), text)
    return _NUMBER.sub(_reduced, text)


def _reduced(number: re.Match[str]) -> str:
    """A number as a reduced fraction, `n` or `n/d`; left alone where it divides by zero."""
    bottom = Fraction(number["bottom"] or 1)
    return str(Fraction(number["top"]) / bottom) if bottom else number[0]
