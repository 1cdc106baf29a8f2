r"""Grading by rules: the last `\boxed{}` against the gold answer, by the question's answer kind."""

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

from schemas.config.grader import RuleGraderConfig
from schemas.question import Question
from zppo.core.answers import last_boxed
from zppo.errors import InputError
from zppo.graders.kinds import is_words, nesting, number, option, same_number, same_option, same_text
from zppo.graders.pool import EquivalencePool, Pair, Verdict
from zppo.ports import Grade

MAX_NESTING = 64
"""Brackets in brackets beyond which a formula is not parsed: the parser recurses."""
_CACHE_SIZE = 100_000


class RuleGrader:
    """Adapter of the port `Grader`; a context manager, since mathematics runs in processes of its own.

    Exact, numeric and choice answers, and mathematics that is textually equal, are settled on the spot.
    The rest goes to math-verify in a grading process. Whatever a rule cannot decide (too long, too deep,
    out of time, a crash) is a `grader_error` with its cause, never a wrong answer.
    """

    def __init__(self, config: RuleGraderConfig, processes: int = 1):
        self._config = config
        self._pool = EquivalencePool(config.timeout_seconds, processes)
        self._known: dict[Pair, bool] = {}

    def __enter__(self) -> Self:
        """Nothing starts before the first comparison that needs a process."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """End the grading processes; the grader stays usable and starts new ones when it needs them."""
        self._pool.close()

    def grade(self, responses: Sequence[tuple[Question, str]]) -> list[Grade]:
        """One grade a response, in order.

        Raises:
            InputError: If an answer kind has no rule; `gradability_problem` says so before any work.
            EngineError: If grading processes cannot run at all.
        """
        answers = [last_boxed(text) for _, text in responses]
        settled = [
            None if answer is None else self._settle(question, answer)
            for (question, _), answer in zip(responses, answers, strict=True)
        ]
        verdicts = self._compare(verdict for verdict in settled if isinstance(verdict, Pair))
        return [
            _grade(question, answer, verdicts[verdict] if isinstance(verdict, Pair) else verdict)
            for (question, _), answer, verdict in zip(responses, answers, settled, strict=True)
        ]

    def _settle(self, question: Question, answer: str) -> Verdict | Pair:
        """The verdict, or the pair that a grading process has to compare."""
        if len(answer) > (limit := self._config.max_answer_characters):
            return f"the answer has {len(answer)} characters, more than {limit}"
        gold = question.answer
        match question.answer_kind:
            case "exact":
                return same_text(gold, answer)
            case "numeric":
                return same_number(gold, answer, self._config.relative_tolerance)
            case "choice":
                return same_option(gold, answer, question.choices)
            case "math":
                return _settle_math(Pair(gold, answer))
            case "free":
                raise InputError(_problem(question))

    def _compare(self, pairs: Iterable[Pair]) -> dict[Pair, Verdict]:
        wanted = set(pairs)
        if len(self._known) > _CACHE_SIZE:
            self._known.clear()
        found = {pair: self._known.get(pair) for pair in wanted}  # another thread may forget them meanwhile
        known: dict[Pair, Verdict] = {pair: each for pair, each in found.items() if each is not None}
        fresh = self._pool.compare(sorted(wanted - known.keys()))
        self._known |= {pair: verdict for pair, verdict in fresh.items() if isinstance(verdict, bool)}
        return known | fresh


def gradability_problem(question: Question) -> str | None:
    """Why no rule can grade the question, or None: a free-form answer, a gold answer of another kind."""
    gold = question.answer
    match question.answer_kind:
        case "numeric" if number(gold) is None:
            return f"gold answer {gold[:80]!r} of question {question.id!r} is not a number"
        case "choice" if option(gold, question.choices) is None:
            return f"gold answer {gold[:80]!r} of question {question.id!r} names none of its choices"
        case "math" if nesting(gold) > MAX_NESTING:
            return f"gold answer of question {question.id!r} has brackets nested deeper than {MAX_NESTING}"
        case "free":
            return _problem(question)
    return None


def _problem(question: Question) -> str:
    return (
        f"question {question.id!r} has answer kind 'free', which needs a judge; "
        "rules grade the kinds exact, numeric, choice and math"
    )


def _settle_math(pair: Pair) -> Verdict | Pair:
    if same_text(*pair):
        return True
    if is_words(pair.gold) and is_words(pair.answer):
        return False
    if max(map(nesting, pair)) > MAX_NESTING:
        return f"brackets are nested deeper than {MAX_NESTING}"
    return pair


def _grade(question: Question, answer: str | None, verdict: Verdict | None) -> Grade:
    """The grade of an answer; there is no verdict exactly where there is no answer."""
    if isinstance(verdict, str):
        return Grade("grader_error", answer, cause=f"question {question.id!r}: {verdict}")
    if verdict is None:
        return Grade("no_answer", None)
    return Grade("correct" if verdict else "wrong", answer)
