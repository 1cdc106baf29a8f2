"""How many replayed questions and reformulated prompts a round holds, and which."""

from collections.abc import Callable, Iterable, Sequence
from math import floor
from typing import TypeVar

T = TypeVar("T")


def share(fraction: float, new_questions: int) -> int:
    """`fraction * |X_new|` rounded down, at least 1 where both are positive."""
    if fraction <= 0.0 or new_questions <= 0:
        return 0
    # The small term undoes binary rounding: 0.29 * 100 is 28.999999999999996.
    return max(1, floor(fraction * new_questions + 1e-9))


def pre_cap(hardest_first: Iterable[T], cap: int, admits: Callable[[T], bool]) -> list[T]:
    """Step 3: the first `cap` hard questions that admit at least one enabled reformulation."""
    return [question for question in hardest_first if admits(question)][:cap]


def post_cap(instances: Sequence[Sequence[T]], cap: int) -> list[T]:
    """Step 5: at most `cap` prompts, walking the questions in order.

    Args:
        instances: Of each kept question, hardest first, its prompts: the BCQ, then the NCQ.
        cap: `rho_aug * |X_new|`.

    Returns:
        The prompts up to the first that would exceed the cap; the walk stops there.
    """
    return [instance for of_question in instances for instance in of_question][:cap]
