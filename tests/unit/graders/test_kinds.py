from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zppo.graders.kinds import (
    is_words,
    nesting,
    number,
    option,
    same_number,
    same_option,
    same_text,
    strip_marks,
)

CITIES = ("Paris", "Rome", "Berlin")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42", Fraction(42)),
        ("-3.5", Fraction(-7, 2)),
        ("+.5", Fraction(1, 2)),
        ("1,234,567.25", Fraction(123456725, 100)),
        ("1{,}234", Fraction(1234)),
        ("3/4", Fraction(3, 4)),
        (r"-\frac{3}{4}", Fraction(-3, 4)),
        (r"\dfrac{-3}{4}", Fraction(-3, 4)),
        (r"\$18", Fraction(18)),
        (r"18\text{ apples}", Fraction(18)),
        (r"50\%", Fraction(1, 2)),
        ("2e-3", Fraction(1, 500)),
        ("−7", Fraction(-7)),
        ("1/0", None),
        ("1,5", None),
        ("1,23", None),
        ("five", None),
        ("٣", None),
        ("1e9999", None),
        ("9" * 5000, None),
        ("", None),
    ],
)
def test_numbers_are_read(text: str, value: Fraction | None) -> None:
    assert number(text) == value


@given(st.fractions(max_denominator=10**6))
def test_a_written_fraction_is_read_back(value: Fraction) -> None:
    assert number(str(value)) == value
    assert number(rf"\frac{{{value.numerator}}}{{{value.denominator}}}") == value


@given(st.text())
def test_reading_a_number_never_raises(text: str) -> None:
    number(text)
    option(text, CITIES)
    same_text(text, text)
    is_words(text)
    nesting(text)


@given(st.integers(-(10**12), 10**12))
def test_thousands_separators_change_nothing(value: int) -> None:
    assert same_number(str(value), f"{value:,}", 0.0)


@pytest.mark.parametrize(
    ("gold", "answer", "equal"),
    [
        ("0.3333333", "1/3", True),
        ("0.33", "1/3", False),
        ("50", r"50\%", True),
        ("0.5", "50%", True),
        ("90", r"90^{\circ}", True),
        ("90", "90°", True),
        ("0", "0.0000001", False),
        ("x", "x", False),
    ],
)
def test_numbers_are_equal_within_the_tolerance(gold: str, answer: str, equal: bool) -> None:
    assert same_number(gold, answer, 1e-6) is equal


@given(
    gold=st.fractions(max_denominator=10**4),
    answer=st.fractions(max_denominator=10**4),
    tolerance=st.floats(0, 2),
)
def test_the_tolerance_is_relative_to_the_larger_number(
    gold: Fraction, answer: Fraction, tolerance: float
) -> None:
    allowed = Fraction(tolerance) * max(abs(gold), abs(answer))
    assert same_number(str(gold), str(answer), tolerance) is (abs(gold - answer) <= allowed)


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("(b)", "B"),
        ("B.", "B"),
        ("B) Rome", "B"),
        ("B. Paris", None),
        (r"\text{Rome}", "B"),
        ("rome", "B"),
        ("D", None),
        ("A or B", None),
        ("Madrid", None),
        ("", None),
    ],
)
def test_options_are_named_by_letter_or_text(text: str, letter: str | None) -> None:
    assert option(text, CITIES) == letter


def test_a_gold_answer_by_text_matches_an_answer_by_letter() -> None:
    assert same_option("Berlin", "C", CITIES)
    assert not same_option("Berlin", "B", CITIES)


def test_without_options_letters_alone_are_compared() -> None:
    assert same_option("E", "(e)", ())
    assert not same_option("E", "F", ())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("listen", True),
        ("No solution", True),
        (r"\text{Yes}", True),
        ("xy", False),
        ("2x", False),
        ("x+y", False),
    ],
)
def test_words_are_told_from_formulas(text: str, words: bool) -> None:
    assert is_words(text) is words


@pytest.mark.parametrize("marked", ["50%", r"50\%", r"50^\circ", r"50^{\circ}", "50°", r"50\degree"])
def test_degree_and_percent_marks_are_stripped(marked: str) -> None:
    assert strip_marks(marked) == "50"
