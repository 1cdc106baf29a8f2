"""The zone of proximal development: which questions are hard, and in which order they are helped."""

from collections.abc import Iterable
from random import Random

from schemas.rollout import Group


def is_hard(accuracy: float | None, tau: float) -> bool:
    """Whether a plain group shows a hard question; a group without a valid rollout shows nothing."""
    return accuracy is not None and accuracy < tau


def hardest_first(plain: Iterable[Group], tau: float, random: Random) -> list[Group]:
    """The hard questions' plain groups by ascending accuracy, ties in random order.

    With eight rollouts a hard question has one of four accuracies, so ties decide nearly everything:
    list order would favour new questions over replayed ones.
    """
    hard = [group for group in plain if is_hard(group.accuracy, tau)]
    random.shuffle(hard)
    return sorted(hard, key=lambda group: group.accuracy or 0.0)
