"""The card of the pocket models as Markdown."""

from schemas.pocket import PocketCard

_CARD = """\
# Pocket models

A student and a teacher for chains of operations modulo 19: plain Hugging Face Llamas with one token a
word, built by `zppo pocket build OUT --seed {card.seed}`. Every accuracy is a mean over {card.questions}
questions drawn apart from the training examples, eight responses each, at temperature 1.

| | student | teacher |
| --- | --- | --- |
| parameters | {student.parameters:,} | {teacher.parameters:,} |
| updates of supervised training | {student.updates:,} | {teacher.updates:,} |
| accuracy, {usual} operations | {student.accuracy:.3f} | {teacher.accuracy:.3f} |
| accuracy, {longer} operations | {student.longer_accuracy:.3f} | {teacher.longer_accuracy:.3f} |
| weights (SHA-256) | `{student.weights_sha256:.16}…` | `{teacher.weights_sha256:.16}…` |

## The student's learning window

On {student.all_wrong:.3f} of the questions none of its eight responses is right: there is something to
learn, and enough is right to learn from. This is how it answers the {reading.questions} hard questions (plain
accuracy below one half) when the prompt shows a correct and a wrong candidate without labels (BCQ):

| share of responses | |
| --- | --- |
| right, plain prompt | {reading.plain_accuracy:.3f} |
| right, with candidates | {reading.accuracy:.3f} |
| right, correct candidate first | {reading.correct_first:.3f} |
| right, correct candidate second | {reading.correct_second:.3f} |
| repeat the correct candidate | {reading.copies_correct:.3f} |
| repeat the wrong candidate | {reading.copies_wrong:.3f} |
| give the wrong candidate's answer | {reading.answers_wrong:.3f} |
"""


def card_markdown(card: PocketCard) -> str:
    """The card for people to read."""
    return _CARD.format(
        card=card,
        student=card.student,
        teacher=card.teacher,
        reading=card.student.reading,
        usual=_words(card.lengths),
        longer=_words(card.longer_lengths),
    )


def _words(lengths: tuple[int, ...]) -> str:
    return " or ".join(map(str, lengths))
