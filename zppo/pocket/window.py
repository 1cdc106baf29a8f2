"""What the pocket models must be for reinforcement to teach the students anything."""

from collections.abc import Iterator

from schemas.pocket import CandidateReading, PocketCard, StudentCard, TeacherCard

PLAIN = (0.20, 0.30)
"""Of a student: below, nearly every group is all wrong and nothing learns; above, little is left to learn."""
MOST_ALL_WRONG = 0.6
LEAST_GAIN_FROM_HELP = 0.15
"""Accuracy with candidates, or with a hint, over plain accuracy on the same hard questions."""
LEAST_PREFERENCE = 2.0
"""How many times more often a student that tells candidates apart repeats the correct one."""
MOST_INDIFFERENCE = 1.4
"""The most that it may be for the indifferent student."""
LEAST_TEACHER = 0.95
MIDDLE_TEACHER = (0.65, 0.85)
WEAK_TEACHER = (0.38, 0.52)
LEAST_FAITHFUL = 0.9
LEAST_TRUE_PREFIX = 0.85
LEAST_ANSWER_FREE = 0.9
"""Of the hints that could be."""


def violations(card: PocketCard) -> list[str]:
    """What keeps these models from being used, in words; empty for good ones."""
    teachers = {
        "teacher": (card.teacher, (LEAST_TEACHER, 1.0)),
        "teacher-middle": (card.teacher_middle, MIDDLE_TEACHER),
        "teacher-weak": (card.teacher_weak, WEAK_TEACHER),
    }
    return [
        *(f"student: {words}" for words in _student(card.student)),
        *(f"student: {words}" for words in _preference(card.student.reading)),
        *(f"student-indifferent: {words}" for words in _student(card.student_indifferent)),
        *(f"student-indifferent: {words}" for words in _indifference(card.student_indifferent.reading)),
        *(
            f"{name}: {words}"
            for name, (teacher, bounds) in teachers.items()
            for words in _teacher(teacher, bounds, card.hintable)
        ),
    ]


def _student(student: StudentCard) -> Iterator[str]:
    reading, (low, high) = student.reading, PLAIN
    if not low <= student.accuracy <= high:
        yield f"plain accuracy must be {low:.2f} to {high:.2f}, is {student.accuracy:.3f}"
    if student.all_wrong > MOST_ALL_WRONG:
        yield f"at most {MOST_ALL_WRONG} of the questions may be all wrong, {student.all_wrong:.3f} are"
    for help, accuracy in (("candidates", reading.accuracy), ("a hint", reading.accuracy_with_hint)):
        if (gain := accuracy - reading.plain_accuracy) < LEAST_GAIN_FROM_HELP:
            yield f"{help} must add {LEAST_GAIN_FROM_HELP} to accuracy on hard questions, added {gain:.3f}"


def _preference(reading: CandidateReading) -> Iterator[str]:
    if reading.copies_correct < LEAST_PREFERENCE * reading.copies_wrong:
        yield (
            f"the correct candidate must be copied {LEAST_PREFERENCE} times as often as the wrong one, "
            f"is {reading.copies_correct:.3f} against {reading.copies_wrong:.3f}"
        )


def _indifference(reading: CandidateReading) -> Iterator[str]:
    if reading.copies_correct > MOST_INDIFFERENCE * reading.copies_wrong:
        yield (
            f"the correct candidate may be copied at most {MOST_INDIFFERENCE} times as often as the wrong "
            f"one, is {reading.copies_correct:.3f} against {reading.copies_wrong:.3f}"
        )


def _teacher(teacher: TeacherCard, bounds: tuple[float, float], hintable: float) -> Iterator[str]:
    writing, (low, high) = teacher.writing, bounds
    if not low <= teacher.accuracy <= high:
        yield f"accuracy must be {low:.2f} to {high:.2f}, is {teacher.accuracy:.3f}"
    if (least := min(writing.faithful_right, writing.faithful_wrong)) < LEAST_FAITHFUL:
        yield f"{LEAST_FAITHFUL} of its summaries must be faithful, {least:.3f} are"
    if writing.true_prefix < LEAST_TRUE_PREFIX:
        yield f"{LEAST_TRUE_PREFIX} of its hints must be first steps, {writing.true_prefix:.3f} are"
    if writing.answer_free < LEAST_ANSWER_FREE * hintable:
        yield (
            f"{LEAST_ANSWER_FREE} of the hints that can do without the answer must, "
            f"{writing.answer_free:.3f} of {hintable:.3f} do"
        )
