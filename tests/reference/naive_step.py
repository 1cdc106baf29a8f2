"""The training step once more, written from the description of the method alone: plain and slow.

Nothing is shared with the product but the names of the random draws.
"""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tests.reference.world import MAX_WORDS, World
from zppo.core.randomness import derive_seed

TEMPLATES = Path(__file__).parents[2] / "zppo" / "templates" / "general"
RUN_SEED = 5
USES = {  # replay, BCQ, NCQ
    "grpo": (False, False, False),
    "grpo_replay": (True, False, False),
    "grpo_both": (False, True, True),
    "grpo_replay_bcq": (True, True, False),
    "grpo_replay_ncq": (True, False, True),
    "zppo": (True, True, True),
}


@dataclass
class Response:
    """One graded rollout or teacher response."""

    origin: str
    index: int
    text: str
    answer: str | None
    reward: int


@dataclass
class NaiveGroup:
    """The rollouts of one prompt."""

    id: str
    question: str
    kind: str
    prompt: str
    shown: list[str] = field(default_factory=list)
    """Origins of the candidates, in order."""
    listed: list[str] = field(default_factory=list)
    rollouts: list[Response] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)


@dataclass
class NaiveStep:
    """Everything that a step decides."""

    replayed: list[str]
    groups: list[NaiveGroup]
    batches: list[list[tuple[str, float]]]
    """Of each update, its rollouts' names and advantages; empty without an update."""
    buffer: list[tuple[str, int, float, int]]
    events: list[tuple[str, str, float, float | None, int, int]]
    served: dict[str, int]
    eligible: tuple[int, int]
    """BCQ and NCQ prompts before the cap."""


def naive_step(world: World) -> NaiveStep:
    """One step of the method."""
    its = world.profile
    uses_replay, uses_bcq, uses_ncq = USES[its.method]

    # Plain rollouts of the new and of the replayed questions.
    replayed: list[str] = []
    if uses_replay:
        waiting = [each.question for each in world.buffer if each.question not in world.new]
        wanted = _rounded_down(its.replay_fraction, its.new)
        if wanted > len(waiting):
            wanted = len(waiting)
        replayed = _random(world, "replay").sample(waiting, wanted)
    plain = []
    for question in [*world.new, *replayed]:
        text = _fill("plain", question=_question_text(question))
        plain.append(_roll_out(world, NaiveGroup(_name(world, question, "plain"), question, "plain", text)))

    # The hard questions, the hardest first, ties at random.
    hard = []
    for group in plain:
        if group.rollouts and _mean_reward(group) < its.tau:
            hard.append(group)
    _random(world, "ties").shuffle(hard)
    in_order = []
    for accuracy in sorted({_mean_reward(group) for group in hard}):
        for group in hard:
            if _mean_reward(group) == accuracy:
                in_order.append(group)

    # The teacher visits every hard question.
    served = dict(world.served)
    correct_teacher: dict[str, list[Response]] = {}
    if uses_bcq:
        for group in in_order:
            first = served.get(group.question, 0)
            responses = []
            for index in range(first, first + its.teacher_group_size):
                if index < its.teacher_pool:
                    origin = f"pool/{group.question}#{index}"
                    responses.append(
                        _grade(world, group.question, origin, index, index_text(world, group, index))
                    )
            served[group.question] = first + len(responses)
            correct_teacher[group.question] = [each for each in responses if each and each.reward == 1]

    # Which reformulations each hard question admits.
    admitted: list[tuple[NaiveGroup, list[tuple[str, list[Response]]]]] = []
    eligible_bcq = eligible_ncq = 0
    for group in in_order:
        wrong = []
        for rollout in group.rollouts:
            same_as_gold = rollout.answer is not None and _form(rollout.answer) == _form(
                world.gold[group.question]
            )
            if rollout.reward == 0 and not same_as_gold:
                wrong.append(rollout)
        reformulations: list[tuple[str, list[Response]]] = []
        if uses_bcq and wrong and correct_teacher[group.question]:
            draws = _random(world, group.question, "candidates")
            pair = [draws.choice(correct_teacher[group.question]), draws.choice(wrong)]
            draws.shuffle(pair)
            reformulations.append(("bcq", pair))
            eligible_bcq += 1
        if uses_ncq and wrong:
            reformulations.append(("ncq", wrong))
            eligible_ncq += 1
        admitted.append((group, reformulations))

    # Cap the questions, then the prompts.
    cap = _rounded_down(its.augment_fraction, its.new)
    kept: list[tuple[NaiveGroup, list[tuple[str, list[Response]]]]] = []
    for group, reformulations in admitted:
        if reformulations and len(kept) < cap:
            kept.append((group, reformulations))
    chosen: list[tuple[str, str, list[Response]]] = []
    full = False
    for group, reformulations in kept:
        for kind, candidates in reformulations:
            if len(chosen) + 1 > cap:
                full = True
            if not full:
                chosen.append((group.question, kind, candidates))
    reformulated = []
    for question, kind, candidates in chosen:
        left = [each for each in candidates if each.text not in world.vanishing]
        if left and (kind == "ncq" or len(left) == 2):
            prompt = _reformulate(world, question, kind, left, len(left) < len(candidates))
            reformulated.append(_roll_out(world, prompt))

    groups = [*plain, *reformulated]
    buffer, events = _buffer(world, plain) if uses_replay else (_entries(world), [])
    return NaiveStep(
        replayed=replayed,
        groups=groups,
        batches=_batches(world, groups),
        buffer=buffer,
        events=events,
        served=served,
        eligible=(eligible_bcq, eligible_ncq),
    )


def index_text(world: World, group: NaiveGroup, index: int) -> str:
    """Response `index` of the teacher's pool."""
    return world.teacher[group.question][index]


def naive_objective(ratio: Any, advantage: float, low: float, high: float, dual: float) -> Any:
    """The clipped objective of one token; the ratio is a number or a scalar tensor."""
    clipped = min(max(ratio, 1 - low), 1 + high)
    objective = min(ratio * advantage, clipped * advantage)
    if advantage < 0:
        objective = max(objective, dual * advantage)
    return objective


def _batches(world: World, groups: list[NaiveGroup]) -> list[list[tuple[str, float]]]:
    its = world.profile
    valid = [group for group in groups if group.rollouts]
    shuffled = list(valid)
    Random(derive_seed(RUN_SEED, world.round, "mini-batches")).shuffle(shuffled)
    count = min(its.iterations, len(shuffled))
    piles: list[list[NaiveGroup]] = [[] for _ in range(count)]
    for place, group in enumerate(shuffled):
        piles[place % count].append(group)
    advantages: dict[str, float] = {}
    for population in piles if its.statistics == "mini_batch" else [valid]:
        advantages |= naive_advantages(
            {group.id: [(each.origin, each.reward) for each in group.rollouts] for group in population},
            its.normalization,
        )
    if all(value == 0 for value in advantages.values()):
        return []
    return [
        [(each.origin, advantages[each.origin]) for group in pile for each in group.rollouts]
        for pile in piles
    ]


def naive_advantages(
    groups: dict[str, list[tuple[str, int]]], normalization: str, eps: float = 1e-6
) -> dict[str, float]:
    """By rollout: centre each group, then divide by one deviation over the counted groups."""
    centred: dict[str, float] = {}
    counted: list[float] = []
    for rollouts in groups.values():
        mean = sum(reward for _, reward in rollouts) / len(rollouts)
        rewards = {reward for _, reward in rollouts}
        for name, reward in rollouts:
            centred[name] = reward - mean
            if len(rewards) > 1 or normalization == "all":
                counted.append(reward - mean)
    if normalization == "none":
        return centred
    if not counted:
        return dict.fromkeys(centred, 0.0)
    mu = sum(counted) / len(counted)
    sigma = math.sqrt(sum((value - mu) ** 2 for value in counted) / len(counted))
    result = {}
    for rollouts in groups.values():
        trivial = len({reward for _, reward in rollouts}) == 1
        for name, _ in rollouts:
            result[name] = 0.0 if trivial else (centred[name] - mu) / (sigma + eps)
    return result


def _entries(world: World) -> list[tuple[str, int, float, int]]:
    return [(each.question, each.admitted, each.entry_accuracy, each.visits) for each in world.buffer]


def _buffer(
    world: World, plain: list[NaiveGroup]
) -> tuple[list[tuple[str, int, float, int]], list[tuple[str, str, float, float | None, int, int]]]:
    entries = _entries(world)
    events: list[tuple[str, str, float, float | None, int, int]] = []
    for group in plain:
        if not group.rollouts:
            continue
        accuracy = _mean_reward(group)
        place = None
        for number, waiting in enumerate(entries):
            if waiting[0] == group.question:
                place = number
        if place is None:
            if accuracy < world.profile.tau:
                entries.append((group.question, world.round, accuracy, 1))
                events.append(("admit", group.question, accuracy, accuracy, 1, world.round))
            continue
        name, admitted, entry_accuracy, visits = entries[place]
        if accuracy < world.profile.tau:
            entries[place] = (name, admitted, entry_accuracy, visits + 1)
        else:
            entries.pop(place)
            events.append(("graduate", name, entry_accuracy, accuracy, visits + 1, admitted))
    while len(entries) > world.profile.capacity:
        name, admitted, entry_accuracy, visits = entries.pop(0)
        events.append(("evict", name, entry_accuracy, None, visits, admitted))
    return entries, events


def _reformulate(
    world: World, question: str, kind: str, candidates: list[Response], some_vanished: bool
) -> NaiveGroup:
    some_failed = some_vanished or any(each.text in world.unshortenable for each in candidates)
    way = "extractive" if some_failed else "teacher"
    blocks = []
    for each in candidates:
        words = [way, *each.text.split(" ")[:4]]
        if each.answer is not None:
            words.append("\\boxed{" + each.answer + "}")
        blocks.append("<candidate>\n" + _inert(" ".join(words)) + "\n</candidate>")
    listed: list[str] = []
    if kind == "ncq":
        for each in candidates:
            if each.answer is not None and _form(each.answer) not in [_form(other) for other in listed]:
                listed.append(each.answer)
    boxes = ", ".join("\\boxed{" + _inert(answer) + "}" for answer in listed)
    text = _fill(
        kind,
        question=_question_text(question),
        candidates="\n".join(blocks),
        wrong_answers=boxes or _template("no_answers"),
    )
    return NaiveGroup(
        _name(world, question, kind),
        question,
        kind,
        text,
        [each.origin for each in candidates],
        [_inert(each) for each in listed],
    )


def _roll_out(world: World, group: NaiveGroup) -> NaiveGroup:
    for index, text in enumerate(world.student[group.question, group.kind]):
        graded = None
        if text is not None:
            kept = " ".join(text.split(" ")[:MAX_WORDS])
            graded = _grade(world, group.question, f"{group.id}#{index}", index, kept)
        if graded is None:
            group.failed.append(index)
        else:
            group.rollouts.append(graded)
    return group


def _grade(world: World, question: str, origin: str, index: int, text: str) -> Response | None:
    boxes = re.findall(r"\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}", text)
    answer = boxes[-1] if boxes else None
    if answer == "crash":
        return None
    return Response(origin, index, text, answer, 1 if answer == world.gold[question] else 0)


def _mean_reward(group: NaiveGroup) -> float:
    return sum(each.reward for each in group.rollouts) / len(group.rollouts)


def _rounded_down(fraction: float, count: int) -> int:
    exact = round(fraction * 1000) * count  # fractions of the tests have three decimals at most
    return max(1, exact // 1000) if exact > 0 else 0


def _form(answer: str) -> str:
    return " ".join(re.sub(r"\\text\{([^{}]*)\}", r"\1", answer).lower().split())


def _inert(text: str) -> str:
    for marked in ("</candidate>", "<|im_end|>", "<eos2>"):
        text = text.replace(marked, "‹" + marked[1:-1] + "›")
    return text


def _question_text(question: str) -> str:
    return f"What is {question} for ${{x}} ?"


def _fill(kind: str, **values: str) -> str:
    text = _template(kind)
    values["closing"] = _template("closing")
    parts = re.split(r"\$(question|candidates|wrong_answers|closing)", text)
    return "".join(values[part] if number % 2 else part for number, part in enumerate(parts))


def _template(name: str) -> str:
    return (TEMPLATES / f"{name}.txt").read_text(encoding="utf-8").rstrip("\n")


def _name(world: World, question: str, kind: str) -> str:
    return f"r{world.round}/{question}/{kind}"


def _random(world: World, *purpose: str) -> Random:
    return Random(derive_seed(RUN_SEED, world.round, *purpose))
