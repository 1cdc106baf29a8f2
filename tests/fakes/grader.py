"""A grader that compares boxed text."""

from collections.abc import Sequence

from schemas.question import Question
from zppo.core.answers import last_boxed
from zppo.ports import Grade


class TextGrader:
    """`Grader` by equality of the boxed text with the gold answer.

    A box that holds `crash` is a grader error.
    """

    def grade(self, responses: Sequence[tuple[Question, str]]) -> list[Grade]:
        """One grade a response, in order."""
        return [self._grade(question, last_boxed(text)) for question, text in responses]

    def _grade(self, question: Question, answer: str | None) -> Grade:
        if answer is None:
            return Grade("no_answer", None)
        if answer == "crash":
            return Grade("grader_error", answer, cause="asked to crash")
        return Grade("correct" if answer == question.answer else "wrong", answer)
