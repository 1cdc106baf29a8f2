"""What every adapter of the `Grader` port, and its fake, must do."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.config.grader import RuleGraderConfig
from schemas.question import Question
from tests.fakes.grader import TextGrader
from zppo.core.answers import boxed
from zppo.graders.rules import RuleGrader
from zppo.ports import Grader


def question(answer: str) -> Question:
    return Question(id="q", source="s", text="What is it?", answer=answer, answer_kind="exact")


@pytest.fixture(params=["fake", "rules"], scope="module")
def grader(request: pytest.FixtureRequest) -> Iterator[Grader]:
    if request.param == "fake":
        yield TextGrader()
        return
    with RuleGrader(RuleGraderConfig()) as rules:
        yield rules


def test_nothing_to_grade_gives_no_grades(grader: Grader) -> None:
    assert grader.grade([]) == []


def test_grades_come_in_the_order_of_the_responses(grader: Grader) -> None:
    gold = question("13")
    grades = grader.grade([(gold, r"\boxed{13}"), (gold, "no box"), (gold, r"\boxed{12}")])
    assert [grade.outcome for grade in grades] == ["correct", "no_answer", "wrong"]
    assert [grade.answer for grade in grades] == ["13", None, "12"]


def test_the_last_box_counts(grader: Grader) -> None:
    grade = grader.grade([(question("13"), r"<think> \boxed{12}? no </think> \boxed{13}")])[0]
    assert (grade.outcome, grade.answer) == ("correct", "13")


def test_the_same_response_gets_the_same_grade(grader: Grader) -> None:
    pair = (question("13"), r"\boxed{7}")
    assert grader.grade([pair, pair]) == grader.grade([pair]) * 2


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text(), max_size=5))
def test_any_text_gets_one_grade(grader: Grader, texts: list[str]) -> None:
    grades = grader.grade([(question("13"), text) for text in texts])
    assert len(grades) == len(texts)
    assert all(grade.answer is None for grade in grades if grade.outcome == "no_answer")
    assert all(grade.cause for grade in grades if grade.outcome == "grader_error")


@given(answer=st.from_regex(r"[a-z0-9+-]{1,20}", fullmatch=True))
def test_the_gold_answer_is_correct(grader: Grader, answer: str) -> None:
    assert grader.grade([(question(answer), boxed(answer))])[0].outcome == "correct"
