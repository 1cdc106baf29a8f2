"""A teacher that answers from a script."""

from collections.abc import Callable, Sequence

from tests.fakes.grader import TextGrader
from zppo.core.values import TeacherResponse
from zppo.ports import TeacherAnswer, Visit


class ScriptedTeacher:
    """`Teacher` that serves a pool: response `index` of a question is `script(question id, index)`.

    A pool holds `pool` responses a question; a visit takes the next ones, and none once they have run out.
    A response, right or wrong, has the hint of the same name, and its own tokens where it can tell them.
    """

    def __init__(
        self,
        script: Callable[[str, int], str],
        pool: int = 1_000,
        hint: Callable[[str, int], str | None] = lambda question, index: None,
        tokens: Callable[[str], tuple[int, ...]] = lambda text: (),
    ) -> None:
        self._script = script
        self._pool = pool
        self._hint = hint
        self._tokens = tokens
        self.visits: list[Visit] = []
        """Every visit so far, in order."""

    def respond(self, visits: Sequence[Visit]) -> list[TeacherAnswer]:
        """The next unused responses of each question, graded by text."""
        self.visits.extend(visits)
        return [self._answer(visit) for visit in visits]

    def _answer(self, visit: Visit) -> TeacherAnswer:
        indices = range(visit.served, min(visit.served + visit.count, self._pool))
        texts = [self._script(visit.question.id, index) for index in indices]
        grades = TextGrader().grade([(visit.question, text) for text in texts])
        responses = tuple(
            TeacherResponse(
                origin=f"pool/{visit.question.id}#{index}",
                text=text,
                answer=grade.answer,
                correct=grade.outcome == "correct",
                hint=self._hint(visit.question.id, index),
                token_ids=self._tokens(text),
            )
            for index, text, grade in zip(indices, texts, grades, strict=True)
        )
        return TeacherAnswer(responses=responses, served=len(responses))
