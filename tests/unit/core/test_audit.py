import pytest

from schemas.rollout import Candidate, Group
from tests.build import candidate, group
from zppo.core.audit import audit_bcq, audit_ncq

RIGHT, WRONG = candidate("7", correct=True), candidate("8", correct=False)


def bcq(*answers: str | None, first: Candidate = RIGHT, second: Candidate = WRONG) -> Group:
    rewards = [int(answer == "7") for answer in answers]
    return group(rewards, kind="bcq", answers=answers, candidates=(first, second))


def test_a_bcq_rollout_matches_the_correct_candidate_the_wrong_one_or_neither() -> None:
    audit = audit_bcq([bcq("7", "8", "9", None)])
    assert (audit.correct_candidate, audit.wrong_candidate, audit.neither) == (0.25, 0.25, 0.5)
    assert audit.rollouts == 4


@pytest.mark.parametrize("answer", [" 7 ", r"\text{7}"])
def test_boxed_strings_are_compared_in_their_normalised_form(answer: str) -> None:
    assert audit_bcq([bcq(answer)]).correct_candidate == 1.0


def test_a_candidate_without_an_answer_is_matched_by_no_rollout() -> None:
    audit = audit_bcq([bcq(None, "9", second=candidate(None, correct=False))])
    assert (audit.wrong_candidate, audit.neither) == (0.0, 1.0)


def test_shares_stay_shares_when_both_candidates_give_the_same_answer() -> None:
    audit = audit_bcq([bcq("7", "7", "9", second=candidate("7", correct=False))])
    assert (audit.correct_candidate, audit.wrong_candidate, audit.neither) == (2 / 3, 2 / 3, 1 / 3)


def test_accuracy_is_told_apart_by_the_place_of_the_correct_candidate() -> None:
    audit = audit_bcq([bcq("7", "8"), bcq("7", "7", "7", "8", first=WRONG, second=RIGHT)])
    assert audit.accuracy_correct_first == 0.5
    assert audit.accuracy_correct_second == 0.75
    assert audit.correct_first == 2 / 6


def test_a_position_that_never_came_has_no_accuracy() -> None:
    assert audit_bcq([bcq("7")]).accuracy_correct_second is None


def test_where_no_candidate_is_correct_nothing_is_said_about_one() -> None:
    other = candidate("9", correct=False)
    audit = audit_bcq([bcq("8", "9", "7", None, first=WRONG, second=other)])
    assert (audit.rollouts, audit.wrong_candidate, audit.neither) == (4, 0.5, 0.5)
    assert (audit.correct_candidate, audit.correct_first) == (None, None)
    assert (audit.accuracy_correct_first, audit.accuracy_correct_second) == (None, None)


def test_a_group_without_a_valid_rollout_is_not_audited() -> None:
    assert audit_bcq([bcq(), bcq("7")]) == audit_bcq([bcq("7")])
    assert audit_bcq([bcq()]).neither is None


def ncq(*answers: str | None, question_id: str = "q") -> Group:
    rewards = [int(answer == "7") for answer in answers]
    return group(rewards, question_id, kind="ncq", answers=answers, wrong_answers=("8", "9"))


def test_an_ncq_rollout_may_repeat_a_listed_answer_or_match_the_unseen_teacher() -> None:
    audit = audit_ncq([ncq("8", "9", "7", None)], {"q": ("7",)})
    assert (audit.rollouts, audit.repeats_listed, audit.matches_teacher) == (4, 0.5, 0.25)


def test_matching_the_teacher_is_a_share_of_the_questions_that_the_teacher_answered() -> None:
    audit = audit_ncq([ncq("7", "8"), ncq("1", "2", question_id="unanswered")], {"q": ("7",)})
    assert audit.matches_teacher == 0.5
    assert audit.repeats_listed == 0.25


def test_without_a_teacher_nothing_can_match_it() -> None:
    assert audit_ncq([ncq("7")], {}).matches_teacher is None
