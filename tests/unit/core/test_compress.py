import pytest
from hypothesis import given
from hypothesis import strategies as st

from zppo.core.answers import last_boxed
from zppo.core.compress import shorten

PIECES = [
    "step",
    "+1",
    " ",
    "\n",
    "\n\n",
    "<think>",
    "</think>",
    "\\boxed{",
    "}",
    "{",
    "\\",
    "$",
    "\\[",
    "7",
    "\x85",
]
RESPONSES = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)
LIMITS = {"max_lines": st.integers(1, 5), "max_tokens": st.integers(1, 30)}


def words(text: str) -> int:
    return len(text.split())


def test_a_one_line_response_keeps_its_steps() -> None:
    response = r"<think> 9 +6 15 *2 11 </think> \boxed{11}"
    assert shorten(response, max_lines=5, max_tokens=50, count_tokens=words) == r"9 +6 15 *2 11 \boxed{11}"


@pytest.mark.parametrize(
    ("response", "short"),
    [
        ("a\nb\nc\n\nso $\\boxed{5}$. Done.", "b\nc\nso \\boxed{5}"),
        ("a\n\\[\\boxed{5}\\]", "a \\boxed{5}"),
        (r"\boxed{4}? No: \boxed{5}", r"{4}? No: \boxed{5}"),
        ("one\ntwo\nthree\nfour", "two\nthree\nfour"),
        (r"\boxed{5}", r"\boxed{5}"),
        (r"unfinished \boxed{", "unfinished {"),
        ("<think></think>", None),
        ("", None),
    ],
)
def test_the_last_lines_stay(response: str, short: str | None) -> None:
    assert shorten(response, max_lines=3, max_tokens=50, count_tokens=words) == short


def test_a_long_line_keeps_its_last_words() -> None:
    response = " ".join(str(i) for i in range(100)) + r" \boxed{5}"
    assert shorten(response, max_lines=3, max_tokens=4, count_tokens=words) == r"97 98 99 \boxed{5}"


def test_an_answer_over_the_limit_cannot_be_shortened() -> None:
    assert shorten(r"a \boxed{1 2 3 4}", max_lines=3, max_tokens=3, count_tokens=words) is None


@given(RESPONSES, LIMITS["max_lines"], LIMITS["max_tokens"])
def test_limits_hold_and_the_answer_stays(response: str, max_lines: int, max_tokens: int) -> None:
    for count_tokens in (words, len):
        result = shorten(response, max_lines=max_lines, max_tokens=max_tokens, count_tokens=count_tokens)
        if result is not None:
            assert count_tokens(result) <= max_tokens
            assert len(result.splitlines()) <= max_lines
            assert last_boxed(result) == last_boxed(response)
            assert "think>" not in result
            assert result.endswith("}") or last_boxed(response) is None


@given(RESPONSES, LIMITS["max_lines"], LIMITS["max_tokens"])
def test_shortening_twice_changes_nothing(response: str, max_lines: int, max_tokens: int) -> None:
    for count_tokens in (words, len):
        limits = {"max_lines": max_lines, "max_tokens": max_tokens}
        once = shorten(response, **limits, count_tokens=count_tokens)
        if once is not None:
            assert shorten(once, **limits, count_tokens=count_tokens) == once


@given(RESPONSES)
def test_only_a_response_without_content_cannot_be_shortened_under_wide_limits(response: str) -> None:
    result = shorten(response, max_lines=5, max_tokens=1000, count_tokens=words)
    bare = response.replace("<think>", " ").replace("</think>", " ").replace("\\boxed", " ")
    assert (result is None) <= (not bare.strip(" \n\x85") or last_boxed(response) is None)
