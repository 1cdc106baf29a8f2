"""What every adapter of the `Grader` port, and its fake, must do."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.config.endpoints import EndpointAccess
from schemas.config.grader import RuleGraderConfig
from schemas.question import AnswerKind, Question
from tests.endpoint_servers import ChatServer, chat_server
from tests.fakes.grader import TextGrader
from tests.fakes.judge import ScriptedText, honest
from zppo.core.answers import boxed
from zppo.endpoints.client import ChatClient, Endpoint
from zppo.graders.judge import DECODING, Judge, load_judge_template
from zppo.graders.judged import JudgedGrader
from zppo.graders.rules import RuleGrader
from zppo.ports import Grader, TextModel
from zppo.teachers.text import EndpointText

RULES = RuleGraderConfig()


@dataclass(frozen=True)
class Case:
    """A grader, and the kind of question that it is asked about."""

    grader: Grader
    kind: AnswerKind = "exact"

    def question(self, answer: str) -> Question:
        return Question(id="q", source="s", text="What is it?", answer=answer, answer_kind=self.kind)


@contextmanager
def judge_behind_http() -> Iterator[TextModel]:
    with chat_server(ChatServer(reply=lambda asked: honest(asked.prompt))) as server:
        endpoint = Endpoint("judge", "m", EndpointAccess(url=server.url))
        with ChatClient(endpoint) as client:
            yield EndpointText(client, DECODING)


@pytest.fixture(params=["fake", "rules", "judge", "judge behind HTTP", "judge in evaluation"], scope="module")
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    template = load_judge_template("general")
    with RuleGrader(RULES) as rules:
        match request.param:
            case "fake":
                yield Case(TextGrader())
            case "rules":
                yield Case(rules)
            case "judge":
                yield Case(JudgedGrader(rules, RULES, Judge(ScriptedText(), template)), "free")
            case "judge behind HTTP":
                with judge_behind_http() as model:
                    yield Case(JudgedGrader(rules, RULES, Judge(model, template)), "free")
            case "judge in evaluation":
                yield Case(JudgedGrader(rules, RULES, Judge(ScriptedText(), template), unread=True))


def test_nothing_to_grade_gives_no_grades(case: Case) -> None:
    assert case.grader.grade([]) == []


def test_grades_come_in_the_order_of_the_responses(case: Case) -> None:
    gold = case.question("13")
    grades = case.grader.grade([(gold, r"\boxed{13}"), (gold, "no box"), (gold, r"\boxed{12}")])
    assert [grade.outcome for grade in grades] == ["correct", "no_answer", "wrong"]
    assert [grade.answer for grade in grades] == ["13", None, "12"]


def test_the_last_box_counts(case: Case) -> None:
    response = r"<think> \boxed{12}? no </think> \boxed{13}"
    grade = case.grader.grade([(case.question("13"), response)])[0]
    assert (grade.outcome, grade.answer) == ("correct", "13")


def test_the_same_response_gets_the_same_grade(case: Case) -> None:
    pair = (case.question("13"), r"\boxed{7}")
    assert case.grader.grade([pair, pair]) == case.grader.grade([pair]) * 2


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(texts=st.lists(st.text(), max_size=5))
def test_any_text_gets_one_grade(case: Case, texts: list[str]) -> None:
    grades = case.grader.grade([(case.question("13"), text) for text in texts])
    assert len(grades) == len(texts)
    assert all(grade.answer is None for grade in grades if grade.outcome == "no_answer")
    assert all(grade.cause for grade in grades if grade.outcome == "grader_error")


@settings(deadline=None)
@given(answer=st.from_regex(r"[a-z0-9+-]{1,20}", fullmatch=True))
def test_the_gold_answer_is_correct(case: Case, answer: str) -> None:
    assert case.grader.grade([(case.question(answer), boxed(answer))])[0].outcome == "correct"
