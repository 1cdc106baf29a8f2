from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.question import Question
from schemas.rollout import Group, Prompt
from tests.build import group, question
from zppo.core.randomness import generator
from zppo.core.reformulate import (
    Plan,
    Source,
    build_prompt,
    distinct_answers,
    plan_bcq,
    plan_ncq,
    wrong_rollouts,
)
from zppo.core.values import TeacherResponse
from zppo.rendering import load_templates

Q = question(answer="Paris")
GENERAL = load_templates("general")


def teacher(index: int, answer: str = "Paris", correct: bool = True) -> TeacherResponse:
    return TeacherResponse(f"pool/q#{index}", f"teacher {index}", answer, correct)


def student(*answers: str | None, correct: int = 0) -> Group:
    return group([0] * len(answers) + [1] * correct, answers=[*answers, *["Paris"] * correct])


def built(plan: Plan | None, shortened: Sequence[str] | None = None) -> Prompt:
    assert plan is not None
    texts = shortened if shortened is not None else [source.text for source in plan.sources]
    return build_prompt(plan, texts, "extractive", GENERAL, lambda text: (len(text),), ("<eos>",))


def test_a_bcq_shows_one_correct_teacher_response_and_one_wrong_rollout() -> None:
    plan = plan_bcq(Q, student("Rome", "Oslo", correct=1), [teacher(0), teacher(1)], generator(0))
    assert plan is not None
    assert Counter((each.author, each.correct) for each in plan.sources) == Counter(
        [("teacher", True), ("student", False)]
    )


@pytest.mark.parametrize(
    ("plain", "correct"),
    [(student("Rome"), []), (student(correct=8), [teacher(0)]), (student(), [teacher(0)])],
)
def test_without_a_correct_teacher_response_or_a_wrong_rollout_there_is_no_bcq(
    plain: Group, correct: list[TeacherResponse]
) -> None:
    assert plan_bcq(Q, plain, correct, generator(0)) is None


def test_position_and_choice_of_the_candidates_are_uniform() -> None:
    trials = 4_000
    correct = [teacher(index) for index in range(4)]
    plain = student("Rome", "Oslo", "Bern", "Lima")
    first, teachers, students = Counter[str](), Counter[str](), Counter[str]()
    for trial in range(trials):
        plan = plan_bcq(Q, plain, correct, generator("candidates", trial))
        assert plan is not None
        by_author = {source.author: source for source in plan.sources}
        first[plan.sources[0].author] += 1
        # Of the cases with the teacher's candidate first only: the choice must not depend on the place.
        if plan.sources[0].author == "teacher":
            teachers[by_author["teacher"].origin] += 1
            students[by_author["student"].origin] += 1
    assert abs(first["teacher"] - trials / 2) < 5 * (trials / 4) ** 0.5
    for counts in (teachers, students):
        total = counts.total()
        assert len(counts) == 4
        assert all(abs(count - total / 4) < 5 * (total * 3 / 16) ** 0.5 for count in counts.values())


def test_the_prompt_of_a_bcq_carries_no_label() -> None:
    plan = plan_bcq(Q, student("Rome"), [teacher(0)], generator(0))
    assert plan is not None
    swapped = Plan("bcq", Q, plan.plain, (plan.sources[1], plan.sources[0]))
    assert built(plan, ["same", "same"]).text == built(swapped, ["same", "same"]).text
    assert "teacher" not in built(plan, ["a", "b"]).text
    assert "student" not in built(plan, ["a", "b"]).text


def test_an_ncq_shows_every_wrong_rollout_and_nothing_of_the_teachers() -> None:
    plan = plan_ncq(Q, student("Rome", None, "Oslo", correct=2))
    assert plan is not None
    assert [each.origin for each in plan.sources] == [f"r1/q/plain#{index}" for index in range(3)]
    assert {(each.author, each.correct) for each in plan.sources} == {("student", False)}


def test_without_a_wrong_rollout_there_is_no_ncq() -> None:
    assert plan_ncq(Q, student(correct=3)) is None


def test_an_ncq_lists_the_answers_of_the_originals_without_repeats_in_order() -> None:
    prompt = built(plan_ncq(Q, student("Rome", "Oslo", " rome ", r"\text{Oslo}", None)), ["short"] * 5)
    assert prompt.wrong_answers == ("Rome", "Oslo")
    assert r"\boxed{Rome}, \boxed{Oslo}" in prompt.text
    assert len(prompt.candidates) == 5


def test_an_ncq_never_lists_an_empty_box() -> None:
    prompt = built(plan_ncq(Q, student(None, "", r"\text{}")))
    assert prompt.wrong_answers == ()
    assert r"\boxed{}" not in prompt.text.removesuffix(GENERAL.closing)


@pytest.mark.parametrize("answer", ["Paris", "paris", r"\text{Paris}", "  PARIS "])
def test_a_rollout_marked_wrong_whose_answer_equals_gold_never_serves(answer: str) -> None:
    plain = student(answer, "Rome")
    assert [each.index for each in wrong_rollouts(Q, plain)] == [1]
    for trial in range(20):
        plan = plan_bcq(Q, plain, [teacher(0)], generator(trial))
        assert plan is not None
        assert "r1/q/plain#0" not in {each.origin for each in plan.sources}
    assert built(plan_ncq(Q, plain)).wrong_answers == ("Rome",)
    assert plan_ncq(Q, student(answer)) is None


hostile = st.sampled_from(
    [
        "</candidate>",
        "< / CANDIDATE >",
        "<|im_end|>",
        "<<candidate>candidate>",
        "<eos>",
        "<candidate<eos>>",
        "$x {",
    ]
)


@given(st.lists(hostile, min_size=2, max_size=2), hostile)
def test_hostile_candidates_and_answers_cannot_leave_their_block(texts: list[str], answer: str) -> None:
    plain = student(answer, "Rome")
    bcq = built(plan_bcq(Q, plain, [teacher(0)], generator(0)), texts)
    ncq = built(plan_ncq(Q, plain), texts)
    for prompt in (bcq, ncq):
        assert prompt.text.count("<candidate>") == prompt.text.count("</candidate>") == 2
        assert "<eos>" not in prompt.text
        assert "<|im_end|>" not in prompt.text
        assert all(each.text in prompt.text for each in prompt.candidates)


def test_a_prompt_needs_a_text_for_every_candidate() -> None:
    with pytest.raises(ValueError, match="shorter"):
        built(plan_ncq(Q, student("Rome", "Oslo")), ["only one"])


def test_candidates_keep_what_the_student_does_not_see() -> None:
    plan = plan_bcq(Q, student("Rome"), [teacher(3)], generator(1))
    prompt = built(plan)
    assert plan is not None
    for candidate, source in zip(prompt.candidates, plan.sources, strict=True):
        assert (candidate.author, candidate.correct, candidate.answer, candidate.origin) == (
            source.author,
            source.correct,
            source.answer,
            source.origin,
        )
    assert prompt.token_ids == (len(prompt.text),)


def _source(answer: str | None) -> Source:
    return Source("text", answer, "student", False, "r1/q/plain#0")


@given(st.lists(st.none() | st.sampled_from(["a", "A", " a", "b", "", "c d", "c  d"])))
def test_distinct_answers_keep_the_first_spelling_of_each(answers: list[str | None]) -> None:
    listed = distinct_answers([_source(each) for each in answers])
    present = [each for each in answers if each]
    assert listed == tuple(
        each for place, each in enumerate(present) if _form(each) not in map(_form, present[:place])
    )


def _form(answer: str) -> str:
    return " ".join(answer.lower().split())


def test_the_question_text_is_shown_as_it_is() -> None:
    asked: Question = question(text="What is $2 {x}?", answer="Paris")
    plan = plan_ncq(asked, student("Rome"))
    assert built(plan).text.startswith("What is $2 {x}?")
