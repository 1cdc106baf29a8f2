from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.question import Question
from zppo.core.answers import boxed, normalise_boxed
from zppo.core.hints import reveals, secrets

NUMBERS = st.integers(min_value=0, max_value=10**12).map(str)
NAMES = st.from_regex(r"[a-zA-Z]{3,12}", fullmatch=True)
ANSWERS = st.one_of(NUMBERS, NAMES)
OPEN = st.sampled_from(
    ["", " ", "it is ", "x = ", "x =", "$", "(", "[", '"', "**", "\n", "is: ", "→", "~", r"\["]
)
CLOSED = st.sampled_from(["", " ", ".", ", so", "$", ")", "!", "**", "\n", "?", "%", r"\]", ". 5", "; 7"])


@given(ANSWERS, OPEN, CLOSED)
def test_an_answer_of_its_own_reveals(answer: str, before: str, after: str) -> None:
    assert reveals(f"{before}{answer}{after}", [answer])


@given(st.text(min_size=1))
@example("-3")
@example(r"\%")
@example("(B) Paris")
@example("*")
def test_the_answer_itself_reveals(answer: str) -> None:
    assert reveals(answer, [answer])


@given(st.text(), st.text(), ANSWERS)
def test_a_box_reveals_whatever_it_holds(before: str, after: str, answer: str) -> None:
    assert reveals(before + boxed("") + after, [answer])
    assert reveals(rf"{before}\boxed 5{after}", [answer])


@given(NUMBERS, st.from_regex(r"[0-9]{1,3}|[a-z]{1,3}", fullmatch=True))
def test_part_of_a_longer_number_or_word_does_not_reveal(answer: str, more: str) -> None:
    assert not reveals(f"take x{answer}", [answer])
    assert not reveals(f"take {answer}9{more}", [answer])
    assert not reveals(f"take {answer}.7", [answer])
    assert not reveals(f"take 9.{answer}1", [answer])


@given(NAMES, st.from_regex(r"[a-z]{1,3}", fullmatch=True))
def test_part_of_a_longer_word_does_not_reveal(answer: str, more: str) -> None:
    assert not reveals(f"9 {answer}{more} 8", [answer])
    assert not reveals(f"9 {more}{answer} 8", [answer])


@given(NUMBERS, st.sampled_from("+-*/^×·÷−"), st.sampled_from(["", "(", "\n", "x", "and x", "then ", "2 "]))
def test_an_operand_does_not_reveal(answer: str, operator: str, before: str) -> None:
    assert not reveals(f"{before}{operator}{answer}", [answer])


@given(st.fractions(min_value=0, max_value=1000, max_denominator=1000))
def test_a_number_is_found_in_any_of_its_forms(value: Fraction) -> None:
    top, bottom = value.as_integer_ratio()
    forms = [
        f"{top}/{bottom}",
        f"{3 * top}/{3 * bottom}",
        rf"\frac{{{top}}}{{{bottom}}}",
        rf"\dfrac{{{top * 2}}}{{{bottom * 2}}}",
        f"$ {top} / {bottom} $",
    ]
    if 1000 % bottom == 0:
        forms += [f"{1000 * top // bottom / 1000}", f"{1000 * top // bottom / 1000:.6f}"]
    written = [form for form in forms if " / " not in form]
    assert all(reveals(f"so {form}", [answer]) for form in forms for answer in written)


@given(NAMES, st.data())
def test_case_counts_for_single_letters_only(answer: str, data: st.DataObject) -> None:
    other = "".join(data.draw(st.sampled_from([letter.lower(), letter.upper()])) for letter in answer)
    assert reveals(f"is it {other}?", [answer])
    assert reveals(f"is it {answer[0]}?", [answer[0]])
    assert not reveals(f"+ {answer[0].swapcase()} -", [answer[0]])


@given(ANSWERS, st.text())
def test_what_reveals_still_does_among_other_words(answer: str, hint: str) -> None:
    if reveals(hint, [answer]):
        assert reveals(f"well {hint} see", [answer])
    assert reveals(f"{hint} \n {answer} \n {hint}", [answer])


@given(st.text("abcdefg +*=()\n"), st.text("hijklmn0123456789^/", min_size=1))
def test_a_hint_that_shares_no_character_with_the_answer_does_not_reveal(hint: str, answer: str) -> None:
    assert not reveals(hint, [answer])


@given(st.from_regex(r"(\\text\{ ?[a-z]{3,9}\}|[a-z]{3,9}| ){1,4}", fullmatch=True).filter(str.strip))
def test_the_normalised_form_of_the_answer_reveals(answer: str) -> None:
    assert reveals(f"= {normalise_boxed(answer)} .", [answer])


@pytest.mark.parametrize(
    ("hint", "answer"),
    [
        ("it is thirteen", "13"),
        ("the sign is +: x = +13", "13"),
        ("an answer-13", "13"),
        ("13/x", "13"),
        ("1,300 or so", "1300"),
        ("1300", "1{,}300"),
        ("of 3, 12,13", "13"),
        (r"\mathbf{13}", "13"),
        (r"13^\circ", "13"),
        ("13 m", r"13\text{ cm}"),
        ("13", "x = 13"),
        ("−3", "-3"),
        ("x ^ 2 + 1", "x^2+1"),
        ("1, 2", "(1,2)"),
        ("Option B", "(B) Paris"),
        ("like PARIS", "(B) Paris"),
        ("½ of it", "0.5"),
        ("1３", "13"),
        (r"\fbox{x}", "13"),
        ("", " "),
        ("anything", "$"),
    ],
)
def test_other_ways_to_say_it_reveal(hint: str, answer: str) -> None:
    assert reveals(hint, [answer])


@pytest.mark.parametrize(
    ("hint", "answer"),
    [
        ("9 +6 15 *2 11", "2"),
        ("9 +6 15 *2 11", "6"),
        ("find 1.3 cm first", "10 cm"),
        ("1/3 of it", "3"),
        ("3/4 of it", "3"),
        ("square the 2 roots", r"\sqrt{2}"),
        ("option b", "B"),
        ("x-3", "-3"),
        ("raise it to x^{13}", "13"),
        ("1/0", "7"),
        ("7" * 5000, "7"),
        ("the 13th", "13"),
    ],
)
def test_what_only_resembles_the_answer_does_not_reveal(hint: str, answer: str) -> None:
    assert not reveals(hint, [answer])


def test_any_of_several_answers_reveals() -> None:
    assert reveals("so 7", ["13", "7"])
    assert not reveals("so 7", [])


def test_the_secrets_are_both_answers_each_once() -> None:
    question = Question(id="q", source="s", text="?", answer="1/2")
    assert secrets(question, "0.5") == ("1/2", "0.5")
    assert secrets(question, "1/2") == secrets(question, None) == ("1/2",)


@pytest.mark.parametrize(("gold", "other"), [("B", "Paris"), ("(B)", "Paris"), ("Paris", "B")])
def test_an_option_is_secret_by_letter_and_by_text(gold: str, other: str) -> None:
    question = Question(id="q", source="s", text="?", answer=gold, choices=("London", "Paris"))
    assert secrets(question, None) == (gold, other)
