"""Rules and a judge together: the judge is asked about what the rules cannot decide."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext

from schemas.config.grader import RuleGraderConfig
from schemas.question import Question
from schemas.rollout import Verdict
from zppo.core.answers import last_boxed
from zppo.graders.judge import Judge
from zppo.graders.kinds import nesting, number, option, strip_marks
from zppo.graders.rules import MAX_NESTING
from zppo.ports import GenerationFailure, Grade, Grader


class JudgedGrader:
    """Adapter of the port `Grader`: free-form answers go to the judge, all others to the rules.

    Where it says so, the judge also reads the responses in which the rules find no answer that they can read:
    no box, or one whose content is nothing of the question's kind. A verdict of the rules stands.
    """

    def __init__(
        self,
        rules: Grader,
        config: RuleGraderConfig,
        judge: Judge,
        unread: bool = False,
        timed: Callable[[], AbstractContextManager[None]] = nullcontext,
    ):
        """Keep both.

        Args:
            rules: Grade all kinds but free-form answers.
            config: Theirs.
            judge: Gives verdicts.
            unread: Whether the judge is asked where the rules can read no answer: in evaluation.
            timed: Entered while the judge is asked.
        """
        self._rules = rules
        self._config = config
        self._judge = judge
        self._unread = unread
        self._timed = timed

    def grade(self, responses: Sequence[tuple[Question, str]]) -> list[Grade]:
        """One grade a response, in order; the judge is asked while the rules work.

        Raises:
            InputError: The judge's endpoint refuses the key, the model or a field.
            EngineError: It serves nobody, or grading processes cannot run at all.
        """
        answers = [last_boxed(text) for _, text in responses]
        judged = [
            self._is_for_the_judge(question, answer)
            for (question, _), answer in zip(responses, answers, strict=True)
        ]
        with ThreadPoolExecutor(1, "rules") as beside:
            by_rules = beside.submit(self._rules.grade, _where(responses, judged, False))
            with self._timed():
                by_judge = iter(self._judge.verdicts(_where(responses, judged, True)))
            by_rule = iter(by_rules.result())
        return [
            _grade(answer, next(by_judge)) if is_judged else next(by_rule)
            for answer, is_judged in zip(answers, judged, strict=True)
        ]

    def _is_for_the_judge(self, question: Question, answer: str | None) -> bool:
        return question.answer_kind == "free" or (
            self._unread and not can_read(question, answer, self._config.max_answer_characters)
        )


def can_read(question: Question, answer: str | None, max_characters: int) -> bool:
    """Whether a final answer is something that the rule of the question's kind can compare."""
    if answer is None or len(answer) > max_characters:
        return False
    match question.answer_kind:
        case "numeric":
            return number(answer) is not None or number(strip_marks(answer)) is not None
        case "choice":
            return option(answer, question.choices) is not None
        case "math":
            return nesting(answer) <= MAX_NESTING
        case _:
            return True


def _where(
    responses: Sequence[tuple[Question, str]], judged: Sequence[bool], wanted: bool
) -> list[tuple[Question, str]]:
    return [response for response, is_judged in zip(responses, judged, strict=True) if is_judged is wanted]


def _grade(answer: str | None, verdict: Verdict | GenerationFailure) -> Grade:
    """The grade of a verdict; one that nobody can read counts as wrong."""
    if isinstance(verdict, GenerationFailure):
        return Grade("grader_error", answer, cause=f"the judge gave no verdict: {verdict.cause}")
    if verdict == "correct":
        return Grade("correct", answer, verdict=verdict)
    return Grade("no_answer" if answer is None else "wrong", answer, verdict=verdict)
