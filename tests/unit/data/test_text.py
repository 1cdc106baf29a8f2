import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from zppo.data.text import content, content_digest, jaccard, numbers, shingles


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("What is 2+2?", "  what  is\n2+2? "),
        ("caf\u00e9", "cafe\u0301"),
        ("STRASSE", "straße"),
    ],
)
def test_case_white_space_and_unicode_composition_do_not_make_a_question(first: str, second: str) -> None:
    assert content(first) == content(second)


@pytest.mark.parametrize(("first", "second"), [("2²", "22"), ("a b", "ab"), ("x₁", "x1")])
def test_what_may_carry_meaning_makes_another_question(first: str, second: str) -> None:
    assert content_digest(content(first)) != content_digest(content(second))


def test_options_are_part_of_the_content() -> None:
    assert content("Which?", ("a", "b")) != content("Which?", ("a", "c"))


def test_numbers_keep_their_order() -> None:
    assert numbers("from 3 to 1,200.5 by 7") == "3 1,200.5 7"


@given(st.text(min_size=1), st.text(min_size=1))
def test_similarity_is_symmetric_and_one_for_the_same_content(first: str, second: str) -> None:
    assume(first.strip() and second.strip())
    a, b = shingles(content(first)), shingles(content(second))
    assert jaccard(a, b) == jaccard(b, a)
    assert jaccard(a, a) == 1.0
    assert np.all(np.diff(a.astype(np.int64)) > 0)
