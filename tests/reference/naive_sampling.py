"""Rollouts, grades, teacher responses and random draws of the naive step."""

import re
from random import Random

from tests.reference.naive_values import END, NaiveGroup, Response
from tests.reference.world import MAX_WORDS, World
from zppo.core.randomness import derive_seed

RUN_SEED = 5


def draws(world: World, *purpose: str) -> Random:
    """The generator of a purpose: all that this implementation shares with the product."""
    return Random(derive_seed(RUN_SEED, world.round, *purpose))


def rounded_down(fraction: float, count: int) -> int:
    """At least 1 where both are positive."""
    exact = round(fraction * 1000) * count  # fractions of the tests have three decimals at most
    return max(1, exact // 1000) if exact > 0 else 0


def roll_out(world: World, group: NaiveGroup) -> NaiveGroup:
    """The group with its rollouts."""
    room = MAX_WORDS - len(group.prefix)
    slot = group.id.split("/")[2]
    for index, text in enumerate(world.student[group.question, slot]):
        graded = None
        if text is not None and room > 0:
            drawn = [*text.split(" "), END][:room]
            said = " ".join(word for word in [*group.prefix, *drawn] if word != END)
            graded = grade(world, group.question, f"{group.id}#{index}", index, said)
        if graded is None:
            group.failed.append(index)
        else:
            graded.drawn = drawn
            group.rollouts.append(graded)
    return group


def ask_teacher(world: World, question: str, served: dict[str, int]) -> list[Response]:
    """The correct ones of the next responses in the pool, which are then served."""
    its = world.profile
    first = served.get(question, 0)
    responses = []
    for index in range(first, first + its.teacher_group_size):
        if index < its.teacher_pool:
            text = world.teacher[question][index]
            response = grade(world, question, f"pool/{question}#{index}", index, text)
            assert response is not None
            response.drawn = [*text.split(), END]
            response.hint = world.hints[question][index]
            responses.append(response)
    served[question] = first + len(responses)
    return [each for each in responses if each.reward == 1]


def grade(world: World, question: str, origin: str, index: int, text: str) -> Response | None:
    """By the last box; None for a box that the grader fails on."""
    boxes = re.findall(r"\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}", text)
    answer = boxes[-1] if boxes else None
    if answer == "crash":
        return None
    return Response(origin, index, text, answer, 1 if answer == world.gold[question] else 0)


def mean_reward(group: NaiveGroup) -> float:
    """Of a group with a valid rollout."""
    return sum(each.reward for each in group.rollouts) / len(group.rollouts)
