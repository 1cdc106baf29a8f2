"""The training step once more, written from the description of the method alone: plain and slow.

Nothing is shared with the product but the names of the random draws.
"""

from tests.reference import naive_buffer, naive_text
from tests.reference.naive_learning import distillation_batches, policy_batches
from tests.reference.naive_sampling import ask_teacher, draws, mean_reward, roll_out, rounded_down
from tests.reference.naive_values import NaiveGroup, NaiveStep, Response
from tests.reference.world import DISTILLATION, REFORMULATING, World

USES_REPLAY = (
    "zppo",
    "grpo_replay",
    "grpo_replay_bcq",
    "grpo_replay_ncq",
    "hint",
    "prefix",
    "off_policy_distillation_replay",
    "on_policy_distillation_replay",
    "control_wrong_pair",
    "control_extra_plain",
    "control_no_gradient",
)
USES_NO_BCQ = ("grpo_replay_ncq",)
USES_NO_NCQ = ("grpo_replay_bcq",)
ASKS_ABOUT_ALL_HARD = ("zppo", "grpo_both", "grpo_replay_bcq", "control_no_gradient")

Reformulations = list[tuple[str, list[Response]]]
"""Kinds of prompts of one question, with their candidates."""


def naive_step(world: World) -> NaiveStep:
    """One step of the method."""
    method = world.profile.method
    replayed = naive_buffer.replayed(world) if method in USES_REPLAY else []
    plain = [roll_out(world, naive_text.plain(world, name)) for name in [*world.new, *replayed]]
    step = NaiveStep(replayed, plain, [], naive_buffer.entries_of(world), [], dict(world.served), [], {})
    if method in USES_REPLAY:
        step.buffer, step.events = naive_buffer.after(world, plain)
    if method in DISTILLATION:
        _distil(world, step)
        return step
    hard = _hardest_first(world, plain)
    if method in ("hint", "prefix"):
        further = _help(world, step, hard)
    elif method == "control_extra_plain":
        further = _extra(world, step, hard)
    else:
        further = _reformulate(world, step, hard)
    step.groups = [*plain, *(roll_out(world, group) for group in further)]
    step.batches = policy_batches(
        world, step.groups, lambda group: method != "control_no_gradient" or group.kind == "plain"
    )
    return step


def _hardest_first(world: World, plain: list[NaiveGroup]) -> list[NaiveGroup]:
    hard = []
    for group in plain:
        if group.rollouts and mean_reward(group) < world.profile.tau:
            hard.append(group)
    draws(world, "ties").shuffle(hard)
    in_order = []
    for accuracy in sorted({mean_reward(group) for group in hard}):
        for group in hard:
            if mean_reward(group) == accuracy:
                in_order.append(group)
    return in_order


def _cap(world: World) -> int:
    return rounded_down(world.profile.augment_fraction, world.profile.new)


def _visit(world: World, step: NaiveStep, question: str) -> list[Response]:
    step.visited.append(question)
    return ask_teacher(world, question, step.served)


def _distil(world: World, step: NaiveStep) -> None:
    """Along all valid rollouts, or along the correct ones of the teacher's responses to every question."""
    if world.profile.method.startswith("on_policy"):
        step.batches = distillation_batches([(group, group.rollouts) for group in step.groups])
    else:
        step.batches = distillation_batches(
            [(group, _visit(world, step, group.question)) for group in step.groups]
        )


def _help(world: World, step: NaiveStep, hard: list[NaiveGroup]) -> list[NaiveGroup]:
    """Hints or prefixes for the hard questions within the cap; the teacher is asked about no other."""
    kind = world.profile.method
    helped = []
    for group in hard[: _cap(world)]:
        usable = []
        for response in _visit(world, step, group.question):
            if kind == "prefix" and "<eos2>" not in response.text:
                usable.append(response)
            if kind == "hint" and response.hint is not None:
                usable.append(response)
        if usable:
            chosen = draws(world, group.question, kind).choice(usable)
            build = naive_text.hinted if kind == "hint" else naive_text.continued
            helped.append(build(world, group.question, chosen))
    step.eligible = {kind: len(helped)}
    return helped


def _extra(world: World, step: NaiveStep, hard: list[NaiveGroup]) -> list[NaiveGroup]:
    """Two more plain groups for each hard question, until the cap."""
    step.eligible = {"extra": len(hard)}
    more: list[NaiveGroup] = []
    for group in hard:
        for number in (1, 2):
            if len(more) < _cap(world):
                more.append(naive_text.plain(world, group.question, "extra", f"extra-{number}"))
    return more


def _reformulate(world: World, step: NaiveStep, hard: list[NaiveGroup]) -> list[NaiveGroup]:
    """BCQ and NCQ prompts: cap the questions, then the prompts, then drop what cannot be shown."""
    step.eligible = {}
    if world.profile.method in REFORMULATING and world.profile.method not in USES_NO_BCQ:
        step.eligible["bcq"] = 0
    if world.profile.method in REFORMULATING and world.profile.method not in USES_NO_NCQ:
        step.eligible["ncq"] = 0
    admitted: list[tuple[NaiveGroup, Reformulations]] = []
    for group in hard:
        taught = []
        if world.profile.method in ASKS_ABOUT_ALL_HARD:
            taught = _visit(world, step, group.question)
        reformulations = _admits(world, group, taught)
        for kind, _ in reformulations:
            step.eligible[kind] += 1
        admitted.append((group, reformulations))
    kept: list[tuple[NaiveGroup, Reformulations]] = []
    for group, reformulations in admitted:
        if reformulations and len(kept) < _cap(world):
            kept.append((group, reformulations))
    chosen: list[tuple[str, str, list[Response]]] = []
    full = False
    for group, reformulations in kept:
        for kind, candidates in reformulations:
            if len(chosen) + 1 > _cap(world):
                full = True
            if not full:
                chosen.append((group.question, kind, candidates))
    prompts = []
    for question, kind, candidates in chosen:
        left = [each for each in candidates if each.text not in world.vanishing]
        if left and (kind == "ncq" or len(left) == 2):
            some_vanished = len(left) < len(candidates)
            prompts.append(naive_text.reformulated(world, question, kind, left, some_vanished))
    return prompts


def _admits(world: World, group: NaiveGroup, taught: list[Response]) -> Reformulations:
    """The BCQ, then the NCQ, as far as the method has them and their candidates are there."""
    method = world.profile.method
    if method not in REFORMULATING:
        return []
    gold = naive_text.form(world.gold[group.question])
    wrong = []
    for rollout in group.rollouts:
        same_as_gold = rollout.answer is not None and naive_text.form(rollout.answer) == gold
        if rollout.reward == 0 and not same_as_gold:
            wrong.append(rollout)
    reformulations: Reformulations = []
    chance = draws(world, group.question, "candidates")
    if method == "control_wrong_pair":
        if len(wrong) >= 2:
            reformulations.append(("bcq", chance.sample(wrong, 2)))
    elif method not in USES_NO_BCQ and wrong and taught:
        pair = [chance.choice(taught), chance.choice(wrong)]
        chance.shuffle(pair)
        reformulations.append(("bcq", pair))
    if method not in USES_NO_NCQ and wrong:
        reformulations.append(("ncq", wrong))
    return reformulations
