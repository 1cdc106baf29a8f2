"""The card of the pocket models as Markdown."""

from schemas.pocket import ModelCard, PocketCard

_CARD = """\
# Pocket models

Two students and three teachers for chains of operations modulo 19: plain Hugging Face Llamas with one token
a word, built by `zppo pocket build OUT --seed {card.seed}`. Every accuracy is a mean over {card.questions}
questions drawn apart from the training examples, eight responses each, at temperature 1.

{models}

## The students' learning window

Students know the additions and about half of the multiplications, and answer the others at random. Where none
of the eight responses is right there is something to learn, and enough is right to learn from. The
rest of the table is about the hard questions (plain accuracy below one half), when the prompt shows a correct
and a wrong candidate without labels (BCQ), and with a hint. `student` tells candidates apart,
`student-indifferent` was shown how to repeat either, and hardly prefers the correct one.

{students}

## What the teachers write

Summaries are faithful when they say, word for word, what extractive shortening makes of the response, a
wrong box included. Hints are made from true derivations; of {card.hintable:.3f} of the questions a
hint without the answer exists at all, since the answer may be the start value or the first step's. One
sample each, at temperature 1. The three teachers are states of one training.

{teachers}
"""

_Rows = tuple[tuple[str, str], ...]
"""Label of a row, and how `str.format` writes a model's card in it."""

_MODELS: _Rows = (
    ("parameters", "{0.parameters:,}"),
    ("updates of supervised training", "{0.updates:,}"),
    ("accuracy, {usual} operations", "{0.accuracy:.3f}"),
    ("accuracy, {longer} operations", "{0.longer_accuracy:.3f}"),
    ("weights (SHA-256)", "`{0.weights_sha256:.12}…`"),
)
_STUDENTS: _Rows = (
    ("questions with no right response of eight", "{0.all_wrong:.3f}"),
    ("hard questions of {questions}", "{0.reading.questions}"),
    ("right, plain prompt", "{0.reading.plain_accuracy:.3f}"),
    ("right, with candidates", "{0.reading.accuracy:.3f}"),
    ("right, correct candidate first", "{0.reading.correct_first:.3f}"),
    ("right, correct candidate second", "{0.reading.correct_second:.3f}"),
    ("repeat the correct candidate", "{0.reading.copies_correct:.3f}"),
    ("repeat the wrong candidate", "{0.reading.copies_wrong:.3f}"),
    ("give the wrong candidate's answer", "{0.reading.answers_wrong:.3f}"),
    ("right, with a hint", "{0.reading.accuracy_with_hint:.3f}"),
)
_TEACHERS: _Rows = (
    ("faithful summaries of right responses", "{0.writing.faithful_right:.3f}"),
    ("faithful summaries of wrong responses", "{0.writing.faithful_wrong:.3f}"),
    ("hints that do not hold the answer", "{0.writing.answer_free:.3f}"),
    ("hints that are the derivation's first steps", "{0.writing.true_prefix:.3f}"),
)


def card_markdown(card: PocketCard) -> str:
    """The card for people to read."""
    students: dict[str, ModelCard] = {
        "student": card.student,
        "student-indifferent": card.student_indifferent,
    }
    teachers: dict[str, ModelCard] = {
        "teacher": card.teacher,
        "teacher-middle": card.teacher_middle,
        "teacher-weak": card.teacher_weak,
    }
    words = {
        "usual": _words(card.lengths),
        "longer": _words(card.longer_lengths),
        "questions": str(card.questions),
    }
    return _CARD.format(
        card=card,
        models=_table(students | teachers, _MODELS, words),
        students=_table(students, _STUDENTS, words),
        teachers=_table(teachers, _TEACHERS, words),
    )


def _table(columns: dict[str, ModelCard], rows: _Rows, words: dict[str, str]) -> str:
    lines = [["", *columns], ["---"] * (len(columns) + 1)]
    lines += [
        [label.format_map(words), *(cell.format(model) for model in columns.values())] for label, cell in rows
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _words(lengths: tuple[int, ...]) -> str:
    return " or ".join(map(str, lengths))
