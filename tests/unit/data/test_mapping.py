import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.config.data import FieldMapping, PocketSource
from schemas.question import Question
from zppo.data.mapping import Reading, plain_number, read_entry, reading_of
from zppo.data.rows import BadRow, Entry, Place, Row

PLACE = Place("f", 3)
GSM8K = Reading("gsm8k", answer_pattern="#### (.+)")


def read(fields: dict[str, Any], reading: Reading | None = None) -> Question | str:
    """The question, or the reason that there is none."""
    result = read_entry(Row(PLACE, fields), reading or Reading("s"), 1000)
    assert result.place == PLACE
    return result.question if isinstance(result, Entry) else result.reason


def question(fields: dict[str, Any], reading: Reading | None = None) -> Question:
    result = read(fields, reading)
    assert isinstance(result, Question), result
    return result


def reason(fields: dict[str, Any], reading: Reading | None = None) -> str:
    result = read(fields, reading)
    assert isinstance(result, str), result
    return result


def test_an_answer_pattern_takes_the_last_match_and_keeps_the_whole_as_solution() -> None:
    solution = "first #### 3\nthen 1,200 + 34\n#### 1,234"
    found = question({"question": "q", "answer": solution}, GSM8K)
    assert found.answer == "1234"
    assert found.reference_solution == solution


@given(answer=st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=20))
def test_a_solution_template_makes_the_reference_solution_of_the_answer_as_it_is(answer: str) -> None:
    reading = Reading("g", answer_kind="exact", solution_template=r"It is \boxed{{answer}}.")
    assert question({"question": "q", "answer": answer}, reading).reference_solution == (
        rf"It is \boxed{{{answer}}}."
    )


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1,234", "1234"),
        ("-1,234,567.5", "-1234567.5"),
        ("$1,000", "$1000"),
        ("12", "12"),
        ("1,23", "1,23"),
        ("(1,234)", "(1,234)"),
        ("1, 234", "1, 234"),
        ("1234,567", "1234,567"),
        ("1,234,56", "1,234,56"),
    ],
)
def test_only_thousands_separators_leave_an_answer(text: str, number: str) -> None:
    assert plain_number(text) == number


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"question": "q"}, "field 'answer' is missing; the row has 'question'"),
        ({"question": "q", "answer": ""}, "field 'answer' is empty"),
        ({"question": "q", "answer": "  "}, "field 'answer' is empty"),
        ({"question": "q", "answer": None}, "field 'answer' is empty"),
        ({"question": 3, "answer": "1"}, "field 'question': expected text, got int"),
        ({"question": "q", "answer": True}, "field 'answer': expected text, got bool"),
        ({"question": "q", "answer": ["1"]}, "field 'answer': expected text, got list"),
        ({"question": "q", "answer": math.nan}, "field 'answer' is not a finite number"),
        ({"question": "a\x00b", "answer": "1"}, "field 'question' holds a NUL character"),
        ({"question": "\ud800", "answer": "1"}, "field 'question' holds half of a surrogate pair"),
        ({"question": "x" * 1001, "answer": "1"}, "field 'question' has 1,001 characters, more than 1,000"),
    ],
)
def test_a_row_that_is_no_question_says_why(fields: dict[str, Any], expected: str) -> None:
    assert reason(fields) == expected


def test_an_answer_that_the_pattern_does_not_find_is_bad() -> None:
    assert reason({"question": "q", "answer": "42"}, GSM8K) == "no answer matches '#### (.+)'"


@pytest.mark.parametrize(("value", "text"), [(42, "42"), (-0.5, "-0.5")])
def test_a_numeric_answer_is_text(value: float, text: str) -> None:
    assert question({"question": "q", "answer": value}).answer == text


CHOICE = Reading("s", FieldMapping(choices="choices"), answer_kind="choice")


@pytest.mark.parametrize("answer", ["B", "b", "(B)", "B.", "blue"])
def test_the_answer_of_a_choice_is_the_letter_of_its_option(answer: str) -> None:
    found = question({"question": "Sky?", "answer": answer, "choices": ["red", "blue"]}, CHOICE)
    assert found.answer == "B"
    assert found.choices == ("red", "blue")
    assert found.text == "Sky?\nA. red\nB. blue"


def test_choices_in_a_csv_are_a_json_list() -> None:
    assert question({"question": "q", "answer": "A", "choices": '["x", "y"]'}, CHOICE).choices == ("x", "y")


@pytest.mark.parametrize("choices", [None, [], ["one"], ["a", "a"], ["a", ""], "no list", [1, 2], ["x"] * 27])
def test_malformed_choices_are_bad(choices: object) -> None:
    assert "choices" in reason({"question": "q", "answer": "A", "choices": choices}, CHOICE)


@pytest.mark.parametrize("answer", ["C", "green", 1])
def test_an_answer_that_is_no_option_is_bad(answer: object) -> None:
    fields = {"question": "q", "answer": answer, "choices": ["red", "blue"]}
    assert reason(fields, CHOICE).startswith("the answer is neither")


def test_images_are_refused_and_an_empty_list_is_none() -> None:
    reading = Reading("s", FieldMapping(images="images"))
    assert "reads text only" in reason({"question": "q", "answer": "1", "images": ["a.png"]}, reading)
    assert question({"question": "q", "answer": "1", "images": []}, reading).images == ()


@pytest.mark.parametrize(("rate", "expected"), [(0.5, 0.5), ("0.5", 0.5), ("", None), (None, None), (1, 1.0)])
def test_a_pass_rate_may_be_empty(rate: object, expected: float | None) -> None:
    reading = Reading("s", FieldMapping(pass_rate="rate"))
    assert question({"question": "q", "answer": "1", "rate": rate}, reading).pass_rate == expected


@pytest.mark.parametrize("rate", [1.5, -0.1, "x", True, [0.5], math.nan])
def test_a_pass_rate_outside_of_its_range_is_bad(rate: object) -> None:
    reading = Reading("s", FieldMapping(pass_rate="rate"))
    assert "expected a number in 0..1" in reason({"question": "q", "answer": "1", "rate": rate}, reading)


def test_the_template_surrounds_the_question_but_is_not_part_of_its_identity() -> None:
    fields = {"question": "Why {x}?", "answer": "1"}
    plain, framed = question(fields), question(fields, Reading("s", question_template="Example.\n{question}"))
    assert framed.text == "Example.\nWhy {x}?"
    assert framed.id == plain.id


def test_the_questions_of_a_generator_are_not_compared_nearly() -> None:
    row = Row(PLACE, {"text": "start 1 +1 mod 19", "answer": "2", "reference_solution": "", "kind": "k=1"})
    entry = read_entry(row, reading_of(PocketSource(name="pocket")), 1000)
    assert isinstance(entry, Entry)
    assert not entry.near_comparable


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
names = ("question", "answer", "solution", "kind", "choices", "rate", "images")
mapping = FieldMapping(
    reference_solution="solution", kind="kind", choices="choices", pass_rate="rate", images="images"
)


@given(st.dictionaries(st.sampled_from(names), json_values), st.sampled_from(["math", "choice", "numeric"]))
def test_any_row_is_a_question_or_a_reason(fields: dict[str, Any], kind: Any) -> None:
    result = read_entry(Row(PLACE, fields), Reading("s", mapping, answer_kind=kind), 1000)
    assert isinstance(result, Entry) or (isinstance(result, BadRow) and result.reason)
    if isinstance(result, BadRow):
        result.excerpt.encode()
