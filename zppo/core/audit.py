"""Audits of the reformulated rollouts: whose answer did the student give?"""

from collections.abc import Iterable, Mapping, Sequence

from schemas.report import BcqAudit, NcqAudit
from schemas.rollout import Group
from zppo.core.answers import normalise_boxed
from zppo.core.values import ratio


def audit_bcq(groups: Iterable[Group]) -> BcqAudit:
    """Shares of BCQ rollouts that give the correct candidate's answer, a wrong one's, or neither."""
    answered = [(group.prompt.candidates, rollout) for group in groups for rollout in group.rollouts]
    verdicts = [
        {candidate.correct for candidate in candidates if _same(rollout.answer, candidate.answer)}
        for candidates, rollout in answered
    ]
    first, second = (
        [rollout.reward for candidates, rollout in answered if candidates[place].correct] for place in (0, 1)
    )
    with_correct = len(first) + len(second)
    return BcqAudit(
        rollouts=len(answered),
        correct_candidate=ratio(sum(True in each for each in verdicts), with_correct),
        wrong_candidate=ratio(sum(False in each for each in verdicts), len(answered)),
        neither=ratio(sum(not each for each in verdicts), len(answered)),
        accuracy_correct_first=ratio(sum(first), len(first)),
        accuracy_correct_second=ratio(sum(second), len(second)),
        correct_first=ratio(len(first), with_correct),
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
