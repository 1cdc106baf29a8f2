import pytest
from hypothesis import given
from hypothesis import strategies as st

from zppo.core.answers import boxed, last_box, last_boxed, normalise_boxed

PIECES = [*"{}\\ 5ax\n", "\\boxed{", "\\text{", "\\boxed"]
LATEX = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so \boxed{13}", "13"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{1} no, \boxed{2}", "2"),
        (r"\boxed {3}", "3"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\boxed{5}}", "5"),
        (r"a } stray brace, then \boxed{ 7 }", "7"),
        ("\\boxed{\n8\n}", "8"),
        (r"\boxed{1} and then \boxed{2", "1"),
        (r"\boxed{ as I said, \boxed{4}", "4"),
        (r"\boxed{6}. The answer goes into \boxed{}.", "6"),
        (r"\\boxed{5}", None),
        (r"\boxed{5\}", None),
        (r"\boxed 5", None),
        (r"\fbox{5}", None),
        (r"\boxedx{5}", None),
        ("no box", None),
        ("", None),
    ],
)
def test_the_last_complete_box_is_the_answer(text: str, answer: str | None) -> None:
    assert last_boxed(text) == answer


@given(LATEX)
def test_a_found_box_is_found_again_when_it_is_boxed_anew(text: str) -> None:
    answer = last_boxed(text)
    if answer is not None:
        assert last_boxed(boxed(answer)) == answer


@given(LATEX)
def test_the_place_of_a_box_holds_its_content(text: str) -> None:
    box = last_box(text)
    if box is not None:
        assert text[box.start : box.end].startswith("\\boxed")
        assert text[box.start : box.end].endswith("}")
        assert box.content.strip() in text[box.start : box.end]


@given(st.text())
def test_text_before_a_box_does_not_hide_it(text: str) -> None:
    assert last_boxed(text + r" \boxed{42}") == "42"


def test_a_megabyte_of_nested_boxes_is_read_in_one_pass() -> None:
    assert last_boxed("\\boxed{" * 150_000) is None
    assert last_boxed("\\boxed{" * 150_000 + "1" + "}" * 150_000) == "1"


@pytest.mark.parametrize(
    ("answer", "normal"),
    [(r"\text{Yes}", "yes"), ("  New \n York ", "new york"), (r"\text{a \text{B}}", "a b"), ("5", "5")],
)
def test_boxed_strings_are_normalised(answer: str, normal: str) -> None:
    assert normalise_boxed(answer) == normal


@given(LATEX)
def test_normalising_twice_changes_nothing(answer: str) -> None:
    assert normalise_boxed(normalise_boxed(answer)) == normalise_boxed(answer)
