"""Hints that the teacher writes from its correct responses, free of the answer."""

from collections.abc import Callable, Sequence
from string import Template

from schemas.question import Question
from schemas.teacher import HintOutcome, PooledResponse
from zppo.core.hints import reveals, secrets
from zppo.core.prompts import neutralise
from zppo.core.randomness import derive_seed
from zppo.ports import GenerationFailure, Text, TextModel, TextRequest
from zppo.rendering import load_template
from zppo.teachers.tags import last_inside
from zppo.teachers.text import ROOM


class HintWriter:
    """Has the teacher turn correct responses into hints; keeps those that give nothing away."""

    def __init__(
        self,
        model: TextModel,
        template: Template,
        max_tokens: int,
        count_tokens: Callable[[str], int],
    ):
        """Keep the teacher's model.

        Args:
            model: Writes the hints.
            template: The prompt, with `$question` and `$response`.
            max_tokens: Longest hint, in the student's tokens.
            count_tokens: Length of a text in the student's tokens.
        """
        self._model = model
        self._template = template
        self._max_tokens = max_tokens
        self._count_tokens = count_tokens

    def add(
        self,
        questions: Sequence[Question],
        pooled: Sequence[Sequence[PooledResponse]],
        seeds: Sequence[int],
    ) -> list[tuple[PooledResponse, ...]]:
        """The same responses, each correct one with its hint or the reason why it has none.

        Args:
            questions: Each question once.
            pooled: The graded responses to each.
            seeds: One a question; those of its hints are derived from it and the response's index.
        """
        requests = [
            TextRequest(
                f"hint/{question.id}#{response.index}",
                self._prompt(question, response),
                (derive_seed(seed, response.index),),
            )
            for question, responses, seed in zip(questions, pooled, seeds, strict=True)
            for response in responses
            if response.outcome == "correct"
        ]
        written = iter(self._model.write(requests, ROOM * self._max_tokens))
        return [
            tuple(
                self._with_hint(question, response, *next(written))
                if response.outcome == "correct"
                else response
                for response in responses
            )
            for question, responses in zip(questions, pooled, strict=True)
        ]

    def _prompt(self, question: Question, response: PooledResponse) -> str:
        return self._template.substitute(question=question.text, response=neutralise(response.text))

    def _with_hint(
        self, question: Question, response: PooledResponse, written: Text | GenerationFailure
    ) -> PooledResponse:
        if isinstance(written, GenerationFailure):
            return response.model_copy(update={"hint_outcome": "missing"})
        hint = (last_inside(written.text, "hint") or "").strip()
        outcome = self._judge(hint, secrets(question, response.answer))
        return response.model_copy(
            update={
                "hint": hint if outcome == "accepted" else None,
                "hint_outcome": outcome,
                "hint_tokens": written.tokens,
            }
        )

    def _judge(self, hint: str, answers: Sequence[str]) -> HintOutcome:
        if not hint or self._count_tokens(hint) > self._max_tokens:
            return "missing"
        return "reveals" if reveals(hint, answers) else "accepted"


def load_hint_template(name: str) -> Template:
    """`write_hint.txt` of a template set, or the general one where the set has none.

    Raises:
        InputError: No such set, or the template's placeholders are not exactly `$question` and `$response`.
    """
    return load_template(name, "write_hint", {"question", "response"})
