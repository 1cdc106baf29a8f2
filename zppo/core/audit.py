"""Audits of the reformulated rollouts: whose answer did the student give?"""

from collections.abc import Iterable, Mapping, Sequence

from schemas.report import BcqAudit, NcqAudit
from schemas.rollout import Group
from zppo.core.answers import normalise_boxed
from zppo.core.values import ratio


def audit_bcq(groups: Iterable[Group]) -> BcqAudit:
    """Shares of BCQ rollouts that give the correct candidate's answer, the wrong one's, or neither."""
    correct = wrong = neither = total = 0
    right_by_position, total_by_position = [0, 0], [0, 0]
    for group in groups:
        by_verdict = {candidate.correct: candidate.answer for candidate in group.prompt.candidates}
        position = [candidate.correct for candidate in group.prompt.candidates].index(True)
        for rollout in group.rollouts:
            total += 1
            is_correct, is_wrong = (_same(rollout.answer, by_verdict.get(each)) for each in (True, False))
            correct += is_correct
            wrong += is_wrong
            neither += not (is_correct or is_wrong)
            total_by_position[position] += 1
            right_by_position[position] += rollout.reward
    return BcqAudit(
        rollouts=total,
        correct_candidate=ratio(correct, total),
        wrong_candidate=ratio(wrong, total),
        neither=ratio(neither, total),
        accuracy_correct_first=ratio(right_by_position[0], total_by_position[0]),
        accuracy_correct_second=ratio(right_by_position[1], total_by_position[1]),
        correct_first=ratio(total_by_position[0], total),
    )


def audit_ncq(groups: Iterable[Group], teacher_answers: Mapping[str, Sequence[str]]) -> NcqAudit:
    """Shares of NCQ rollouts that repeat a listed wrong answer, or match the teacher's unseen one.

    Args:
        groups: The NCQ groups of a round.
        teacher_answers: By question id, the final answers of the teacher's correct responses.
    """
    repeats = matches = total = comparable = 0
    for group in groups:
        listed = group.prompt.wrong_answers
        known = teacher_answers.get(group.question_id, ())
        for rollout in group.rollouts:
            total += 1
            comparable += bool(known)
            repeats += any(_same(rollout.answer, answer) for answer in listed)
            matches += any(_same(rollout.answer, answer) for answer in known)
    return NcqAudit(
        rollouts=total,
        repeats_listed=ratio(repeats, total),
        matches_teacher=ratio(matches, comparable),
    )


def _same(answer: str | None, other: str | None) -> bool:
    """Compare boxed strings in their normalised form."""
    return answer is not None and other is not None and normalise_boxed(answer) == normalise_boxed(other)
