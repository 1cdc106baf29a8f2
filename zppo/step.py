"""One training step of ZPPO (Algorithm 1 of arXiv 2606.18216): `collect`, then `update`.

Everything random is named, everything outside comes through a port, and the teacher appears in prompts
only: the rows that `update` learns from hold nothing but tokens that the student sampled.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from schemas.buffer import BufferEvent
from schemas.config.models import SamplingConfig
from schemas.question import Question
from schemas.rollout import Group, Prompt, Round, ServedResponses
from schemas.state import TrainState
from zppo.core import compose, reformulate, replay, zone
from zppo.core.advantage import compute_advantages, split_mini_batches
from zppo.core.method import Method
from zppo.core.prompts import Templates
from zppo.core.randomness import derive_seed, generator
from zppo.core.reformulate import Plan
from zppo.ports import (
    Compressor,
    Grader,
    Learner,
    MiniBatch,
    RolloutEngine,
    Teacher,
    TeacherAnswer,
    TrainingRow,
    UpdateStatistics,
    Visit,
)
from zppo.sampling import Draft, draw, grade, training_decoding


@dataclass(frozen=True)
class Collector:
    """What `collect` needs from outside."""

    engine: RolloutEngine
    grader: Grader
    teacher: Teacher | None
    """None for methods that ask none."""
    compressor: Compressor
    extractive: Compressor
    """Shortens all candidates of a prompt for which the compressor failed on any."""
    templates: Templates
    special_tokens: tuple[str, ...]
    """Control tokens of the student's tokenizer."""
    sampling: SamplingConfig
    seed: int
    question: Callable[[str], Question]
    """A training question by its id."""
    phase: Callable[[str], AbstractContextManager[None]]
    """Times a named phase."""


@dataclass(frozen=True)
class Updated:
    """What the updates of a round did; empty when there was none."""

    advantages: tuple[float, ...]
    """Of every valid rollout, in the order of the mini-batches."""
    statistics: tuple[UpdateStatistics, ...]
    """One entry an update."""


def collect(
    index: int, new: Sequence[Question], state: TrainState, method: Method, ports: Collector
) -> Round:
    """Steps 1 to 5: plain rollouts, teacher, caps, reformulated prompts and their rollouts.

    Args:
        index: The round, from 1.
        new: `X_new`, from the data loader.
        state: After the round before.
        method: Switches and settings.
        ports: Engine, grader, teacher and compressor.
    """
    tau, size = method.gradient.tau, method.gradient.group_size

    # 1. Plain rollouts of X_new and X_replay.
    wanted = compose.share(method.replay_fraction, len(new))
    new_ids = {question.id for question in new}
    replayed = replay.draw(state.buffer, wanted, new_ids, generator(ports.seed, index, "replay"))
    questions = {question.id: question for question in (*new, *map(ports.question, replayed))}
    plain = roll_out(
        [_plain_draft(index, question, question.id in new_ids, ports) for question in questions.values()],
        size,
        ports,
    )

    # 2. Teacher rollouts on the hard questions, the hardest first.
    hard = zone.hardest_first(plain, tau, generator(ports.seed, index, "ties"))
    answers = ask_teacher(index, [questions[group.question_id] for group in hard], state, method, ports)

    # 3. to 5. Plan the prompts, cap before and after, build them and roll them out.
    plans = {
        group.id: plan_prompts(index, questions[group.question_id], group, answer, method, ports.seed)
        for group, answer in zip(hard, answers, strict=True)
    }
    cap = compose.share(method.augment_fraction, len(new))
    kept = compose.pre_cap(hard, cap, lambda group: bool(plans[group.id]))
    chosen = compose.post_cap([plans[group.id] for group in kept], cap)
    reformulated = roll_out(build_drafts(index, chosen, ports), size, ports)

    return Round(
        index=index,
        new_question_ids=tuple(question.id for question in new),
        replay_question_ids=replayed,
        groups=(*plain, *reformulated),
        teacher=tuple(
            _served(group, answer)
            for group, answer in zip(hard, answers, strict=True)
            if method.switches.teacher
        ),
        eligible_bcq=sum(plan.kind == "bcq" for each in plans.values() for plan in each),
        eligible_ncq=sum(plan.kind == "ncq" for each in plans.values() for plan in each),
    )


def update(round_: Round, method: Method, seed: int, learner: Learner) -> Updated:
    """Step 6, the gradient: advantages over the whole step, one update for each of `I` mini-batches.

    No update when no group has a spread, for then every advantage is zero.
    """
    batches = mini_batches(round_, method, seed)
    return Updated(
        advantages=tuple(row.advantage for batch in batches for row in batch.rows),
        statistics=tuple(learner.update(batch) for batch in batches),
    )


def advance(state: TrainState, round_: Round, method: Method) -> tuple[TrainState, tuple[BufferEvent, ...]]:
    """Step 6, the buffer: the state after a round, from its plain groups only."""
    buffer = state.buffer
    events: tuple[BufferEvent, ...] = ()
    if method.switches.replay:
        buffer, events = replay.after_round(
            state.buffer, round_.of_kind("plain"), method.gradient.tau, method.buffer_capacity, round_.index
        )
    served = dict(state.served)
    for visit in round_.teacher:
        served[visit.question_id] = served.get(visit.question_id, 0) + visit.served
    return TrainState(round=round_.index, buffer=buffer, served=served), events


def roll_out(drafts: Sequence[Draft], size: int, ports: Collector) -> list[Group]:
    """`size` graded student rollouts of each prompt."""
    with ports.phase("student"):
        drawn = draw(drafts, size, training_decoding(ports.sampling), ports.seed, ports.engine)
    with ports.phase("grading"):
        return grade(drafts, drawn, ports.grader)


def ask_teacher(
    index: int, hard: Sequence[Question], state: TrainState, method: Method, ports: Collector
) -> list[TeacherAnswer]:
    """`G_T` fresh teacher responses for each hard question, graded; nothing where the method asks none."""
    if ports.teacher is None or not method.switches.teacher:
        return [TeacherAnswer(responses=(), served=0) for _ in hard]
    visits = [
        Visit(
            question=question,
            served=state.served.get(question.id, 0),
            count=method.teacher_group_size,
            seed=derive_seed(ports.seed, index, question.id, "teacher"),
        )
        for question in hard
    ]
    with ports.phase("teacher"):
        return ports.teacher.respond(visits)


def plan_prompts(
    index: int, question: Question, group: Group, answer: TeacherAnswer, method: Method, seed: int
) -> list[Plan]:
    """Step 4 without the texts: the BCQ, then the NCQ, as far as enabled and admitted."""
    correct = [response for response in answer.responses if response.correct]
    draw_candidates = generator(seed, index, question.id, "candidates")
    plans = (
        reformulate.plan_bcq(question, group, correct, draw_candidates) if method.switches.bcq else None,
        reformulate.plan_ncq(question, group) if method.switches.ncq else None,
    )
    return [plan for plan in plans if plan is not None]


def build_drafts(index: int, plans: Sequence[Plan], ports: Collector) -> list[Draft]:
    """Step 4, the texts: candidates shortened alike, then the prompts around them."""
    with ports.phase("compression"):
        shortened = _shorten(index, plans, ports.compressor, ports.seed)
    built = [_build_draft(index, plan, texts, ports) for plan, texts in zip(plans, shortened, strict=True)]
    return [draft for draft in built if draft is not None]


def mini_batches(round_: Round, method: Method, seed: int) -> list[MiniBatch]:
    """The round's rows in `I` parts of whole groups, advantages computed once and frozen."""
    groups = {group.id: group for group in round_.groups if group.rollouts}
    parts = split_mini_batches(
        list(groups), method.gradient.iterations, derive_seed(seed, round_.index, "mini-batches")
    )
    populations = parts if method.gradient.statistics == "mini_batch" else [list(groups)]
    advantages = {
        group_id: values
        for ids in populations
        for group_id, values in zip(
            ids,
            compute_advantages(
                [[r.reward for r in groups[i].rollouts] for i in ids], method.gradient.normalization
            ),
            strict=True,
        )
    }
    if not any(value for values in advantages.values() for value in values):
        return []
    return [MiniBatch(tuple(row for i in part for row in rows(groups[i], advantages[i]))) for part in parts]


def rows(group: Group, advantages: Sequence[float]) -> list[TrainingRow]:
    """The learner's view of a group: tokens as drawn, log-probabilities of the policy that drew them."""
    return [
        TrainingRow(
            rollout=f"{group.id}#{rollout.index}",
            prompt_ids=group.prompt.token_ids,
            response_ids=rollout.token_ids,
            old_logprobs=rollout.logprobs,
            advantage=advantage,
        )
        for rollout, advantage in zip(group.rollouts, advantages, strict=True)
    ]


def _plain_draft(index: int, question: Question, is_new: bool, ports: Collector) -> Draft:
    text = ports.templates.render_plain(question.text)
    prompt = Prompt(kind="plain", text=text, token_ids=ports.engine.encode(text))
    return Draft(f"r{index}/{question.id}/plain", question, "new" if is_new else "replay", prompt)


def _build_draft(index: int, plan: Plan, texts: Sequence[str | None], ports: Collector) -> Draft | None:
    """A candidate of which nothing is left is not shown; None where that leaves no prompt."""
    kind = ports.compressor.kind
    if None in texts:
        kind = ports.extractive.kind
        (texts,) = _shorten(index, [plan], ports.extractive, ports.seed)
    left = [(source, text) for source, text in zip(plan.sources, texts, strict=True) if text]
    if len(left) < (2 if plan.kind == "bcq" else 1):
        return None
    prompt = reformulate.build_prompt(
        replace(plan, sources=tuple(source for source, _ in left)),
        [text for _, text in left],
        kind,
        ports.templates,
        ports.engine.encode,
        ports.special_tokens,
    )
    return Draft(f"r{index}/{plan.question.id}/{plan.kind}", plan.question, plan.plain.origin, prompt)


def _shorten(index: int, plans: Sequence[Plan], compressor: Compressor, seed: int) -> list[list[str | None]]:
    """The shortened sources of each plan; a rollout that stands in two prompts is shortened once."""
    sources = {source.origin: source for plan in plans for source in plan.sources}
    seeds = [derive_seed(seed, index, origin, "compress") for origin in sources]
    originals = [source.original() for source in sources.values()]
    texts = compressor.compress(originals, seeds) if originals else []
    by_origin = dict(zip(sources, texts, strict=True))
    return [[by_origin[source.origin] for source in plan.sources] for plan in plans]


def _served(group: Group, answer: TeacherAnswer) -> ServedResponses:
    correct = [response for response in answer.responses if response.correct]
    return ServedResponses(
        question_id=group.question_id,
        served=answer.served,
        drawn=answer.drawn,
        reused=answer.reused,
        tokens=answer.tokens,
        correct=len(correct),
        correct_answers=tuple(dict.fromkeys(each.answer for each in correct if each.answer is not None)),
    )
