"""The learning window: what a student must be for reinforcement to teach it anything."""

from schemas.pocket import ModelCard, StudentCard

PLAIN = (0.20, 0.30)
"""Below, nearly every group is all wrong and nothing learns; above, little is left to learn."""
MOST_ALL_WRONG = 0.6
LEAST_GAIN_FROM_CANDIDATES = 0.15
"""BCQ accuracy on hard questions over plain accuracy on the same."""
LEAST_PREFERENCE = 1.5
"""How many times more often the correct candidate is copied than the wrong one."""
LEAST_TEACHER = 0.95


def violations(student: StudentCard, teacher: ModelCard) -> list[str]:
    """What keeps this pair from being used, in words; empty for a good pair."""
    reading = student.reading
    gain = reading.accuracy - reading.plain_accuracy
    low, high = PLAIN
    checks = [
        (
            low <= student.accuracy <= high,
            f"plain accuracy must be {low:.2f} to {high:.2f}, is {student.accuracy:.3f}",
        ),
        (
            student.all_wrong <= MOST_ALL_WRONG,
            f"at most {MOST_ALL_WRONG} of the questions may be all wrong, {student.all_wrong:.3f} are",
        ),
        (
            gain >= LEAST_GAIN_FROM_CANDIDATES,
            f"candidates must add {LEAST_GAIN_FROM_CANDIDATES} to accuracy on hard questions, add {gain:.3f}",
        ),
        (
            reading.copies_correct >= LEAST_PREFERENCE * reading.copies_wrong,
            f"the correct candidate must be copied {LEAST_PREFERENCE} times as often as the wrong one, "
            f"is {reading.copies_correct:.3f} against {reading.copies_wrong:.3f}",
        ),
        (
            teacher.accuracy >= LEAST_TEACHER,
            f"the teacher's accuracy must be at least {LEAST_TEACHER}, is {teacher.accuracy:.3f}",
        ),
    ]
    return [message for holds, message in checks if not holds]
