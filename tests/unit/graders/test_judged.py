"""Rules and a judge together: who is asked about what."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event

import pytest

from schemas.config.grader import RuleGraderConfig
from schemas.question import AnswerKind, Question
from tests.fakes.grader import TextGrader
from tests.fakes.judge import ScriptedText
from zppo.graders.judge import Judge, load_judge_template
from zppo.graders.judged import JudgedGrader
from zppo.graders.rules import RuleGrader
from zppo.ports import GenerationFailure, Grade, Grader

RULES = RuleGraderConfig(max_answer_characters=100)
TEMPLATE = load_judge_template("general")
SECONDS = 30.0
"""Nobody waits so long unless something hangs."""


def question(answer: str, kind: AnswerKind) -> Question:
    choices = ("red", "blue") if kind == "choice" else ()
    return Question(id="q", source="s", text="What?", answer=answer, answer_kind=kind, choices=choices)


def always(reply: str | GenerationFailure) -> ScriptedText:
    return ScriptedText(lambda prompt: reply)


CORRECT, WRONG = '{"verdict": "correct"}', '{"verdict": "wrong"}'


@pytest.fixture(scope="module")
def rules() -> Iterator[RuleGrader]:
    with RuleGrader(RULES) as grader:
        yield grader


def judged(rules: Grader, model: ScriptedText, unread: bool = False) -> JudgedGrader:
    return JudgedGrader(rules, RULES, Judge(model, TEMPLATE), unread)


def test_free_form_answers_go_to_the_judge_and_others_to_the_rules(rules: RuleGrader) -> None:
    pairs = [
        (question("13", "exact"), r"\boxed{13}"),
        (question("because", "free"), r"\boxed{since}"),
        (question("12", "numeric"), r"\boxed{13}"),
        (question("B", "choice"), "no box"),
    ]
    model = always(CORRECT)
    grades = judged(rules, model).grade(pairs)
    assert [each.outcome for each in grades] == ["correct", "correct", "wrong", "no_answer"]
    assert [each.verdict for each in grades] == [None, "correct", None, None]
    assert len(model.prompts) == 1


@pytest.mark.parametrize("verdict", [CORRECT, WRONG])
@pytest.mark.parametrize(
    ("gold", "kind", "response"),
    [("13", "exact", r"\boxed{12}"), ("13", "numeric", r"\boxed{12}"), ("B", "choice", r"\boxed{A}"),
     ("x+1", "math", r"\boxed{x+2}"), ("13", "exact", r"\boxed{13}"), ("0.5", "math", r"\boxed{1/2}")],
)  # fmt: skip
def test_a_verdict_of_the_rules_is_never_overruled(
    rules: RuleGrader, gold: str, kind: AnswerKind, response: str, verdict: str
) -> None:
    pairs, model = [(question(gold, kind), response)], always(verdict)
    assert judged(rules, model, unread=True).grade(pairs) == rules.grade(pairs)
    assert model.prompts == []


@pytest.mark.parametrize(
    ("gold", "kind", "response"),
    [
        ("13", "exact", "it is 13"),
        ("18", "numeric", r"\boxed{18 apples or so}"),
        ("B", "choice", r"\boxed{the second}"),
        ("x", "math", rf"\boxed{{{'(' * 70 + 'x' + ')' * 70}}}"),
        ("x", "math", rf"\boxed{{{'x' * 101}}}"),
    ],
)
def test_only_in_evaluation_the_judge_reads_what_the_rules_cannot(
    rules: RuleGrader, gold: str, kind: AnswerKind, response: str
) -> None:
    pairs = [(question(gold, kind), response)]
    assert judged(rules, always(CORRECT)).grade(pairs)[0].outcome != "correct"
    assert judged(rules, always(CORRECT), unread=True).grade(pairs)[0].outcome == "correct"


@pytest.mark.parametrize(("response", "outcome"), [("so it is", "no_answer"), (r"\boxed{so}", "wrong")])
@pytest.mark.parametrize(("reply", "verdict"), [(WRONG, "wrong"), ("Correct!", "malformed")])
def test_a_malformed_verdict_counts_as_wrong_and_can_be_counted(
    response: str, outcome: str, reply: str, verdict: str
) -> None:
    (given,) = judged(TextGrader(), always(reply)).grade([(question("because", "free"), response)])
    assert (given.outcome, given.verdict) == (outcome, verdict)


def test_an_endpoint_that_fails_is_a_grader_error_and_no_verdict() -> None:
    model = always(GenerationFailure("status 500"))
    (given,) = judged(TextGrader(), model).grade([(question("because", "free"), "so")])
    assert given == Grade("grader_error", None, cause="the judge gave no verdict: status 500")


class _Waiting(TextGrader):
    """Rules that finish only after the judge was asked, whose answer waits until they have begun."""

    def __init__(self) -> None:
        self.begun, self.judge_asked = Event(), Event()

    def grade(self, responses: Sequence[tuple[Question, str]]) -> list[Grade]:
        self.begun.set()
        assert self.judge_asked.wait(SECONDS)
        return super().grade(responses)

    def reply(self, prompt: str) -> str:
        self.judge_asked.set()
        assert self.begun.wait(SECONDS)
        return CORRECT


def test_the_judge_is_asked_while_the_rules_work() -> None:
    rules = _Waiting()
    both = judged(rules, ScriptedText(rules.reply))
    pairs = [(question("13", "exact"), r"\boxed{13}"), (question("because", "free"), "so")]
    assert [each.outcome for each in both.grade(pairs)] == ["correct", "correct"]


def test_the_judge_is_timed_and_the_rules_are_not() -> None:
    happened: list[str] = []

    class Rules(TextGrader):
        def grade(self, responses: Sequence[tuple[Question, str]]) -> list[Grade]:
            assert entered.wait(SECONDS)  # both are at work
            return super().grade(responses)

    def reply(prompt: str) -> str:
        happened.append("asked")
        return CORRECT

    @contextmanager
    def timed() -> Iterator[None]:
        happened.append("started")
        entered.set()
        yield
        happened.append("stopped")

    entered = Event()
    both = JudgedGrader(Rules(), RULES, Judge(ScriptedText(reply), TEMPLATE), timed=timed)
    both.grade([(question("13", "exact"), r"\boxed{13}"), (question("because", "free"), "so")])
    assert happened == ["started", "asked", "stopped"]


class _Broken(TextGrader):
    def grade(self, responses: Sequence[tuple[Question, str]]) -> list[Grade]:
        raise RuntimeError("the rules broke")


def test_an_error_of_the_rules_is_not_lost_behind_the_judge() -> None:
    with pytest.raises(RuntimeError, match="the rules broke"):
        judged(_Broken(), always(CORRECT)).grade([(question("because", "free"), "so")])
