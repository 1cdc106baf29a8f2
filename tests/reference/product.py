"""The product's step in a world of the reference."""

from contextlib import nullcontext
from dataclasses import dataclass

from pydantic import TypeAdapter

from schemas.buffer import BufferEntry, BufferEvent, ReplayBuffer
from schemas.config.method import MethodConfig
from schemas.config.models import SamplingConfig
from schemas.question import Question
from schemas.rollout import Round
from schemas.state import TrainState
from tests.fakes.compressor import FirstWords
from tests.fakes.engine import ScriptedEngine
from tests.fakes.grader import TextGrader
from tests.fakes.learner import UnigramLearner
from tests.fakes.teacher import ScriptedTeacher
from tests.reference.world import MAX_WORDS, World
from zppo import step
from zppo.core.method import Method, resolve_method
from zppo.ports import GenerationFailure
from zppo.rendering import load_templates

SEED = 5
VOCABULARY = 4000
GENERAL = load_templates("general")


@dataclass(frozen=True)
class Played:
    """What a step did."""

    round: Round
    updated: step.Updated
    state: TrainState
    events: tuple[BufferEvent, ...]
    learner: UnigramLearner


def questions_of(world: World) -> dict[str, Question]:
    """Every question of a world by its id."""
    return {
        name: Question(
            id=name, source="world", text=f"What is {name} for ${{x}} ?", answer=gold, answer_kind="exact"
        )
        for name, gold in world.gold.items()
    }


def method_of(world: World) -> Method:
    """The method of a world."""
    its = world.profile
    settings = {
        "type": its.method,
        "group_size": its.group_size,
        "iterations": its.iterations,
        "normalization": its.normalization,
        "statistics": its.statistics,
        "tau": its.tau,
    }
    if "replay" in its.method or its.method == "zppo":
        settings |= {"replay_fraction": its.replay_fraction, "buffer_capacity": its.capacity}
    if its.method not in ("grpo", "grpo_replay"):
        settings |= {"augment_fraction": its.augment_fraction}
    if its.method in ("grpo_both", "grpo_replay_bcq", "zppo"):
        settings |= {"teacher_group_size": its.teacher_group_size}
    return resolve_method(TypeAdapter(MethodConfig).validate_python(settings))


def state_of(world: World) -> TrainState:
    """The state before the step."""
    entries = (
        BufferEntry(
            question_id=each.question,
            admitted_round=each.admitted,
            entry_accuracy=each.entry_accuracy,
            visits=each.visits,
        )
        for each in world.buffer
    )
    return TrainState(round=world.round - 1, buffer=ReplayBuffer(entries=tuple(entries)), served=world.served)


def scripted_engine(world: World) -> ScriptedEngine:
    """The student of a world."""

    def answer(group_id: str, index: int) -> str | GenerationFailure:
        _, question, kind = group_id.split("/")
        text = world.student[question, kind][index]
        return GenerationFailure("asked to fail") if text is None else text

    return ScriptedEngine(answer)


def collector_of(world: World, seed: int = SEED) -> step.Collector:
    """Every port of a world, scripted."""
    return step.Collector(
        engine=scripted_engine(world),
        grader=TextGrader(),
        teacher=ScriptedTeacher(lambda name, index: world.teacher[name][index], world.profile.teacher_pool),
        compressor=FirstWords("teacher", world.unshortenable.__contains__),
        extractive=FirstWords("extractive", world.vanishing.__contains__),
        templates=GENERAL,
        special_tokens=("<eos2>",),
        sampling=SamplingConfig(max_response_tokens=MAX_WORDS),
        seed=seed,
        question=questions_of(world).__getitem__,
        phase=lambda name: nullcontext(),
    )


def play(world: World, collector: step.Collector | None = None) -> Played:
    """One whole step."""
    collector = collector or collector_of(world)
    method, state, learner = method_of(world), state_of(world), UnigramLearner(VOCABULARY)
    new = [collector.question(name) for name in world.new]
    round_ = step.collect(world.round, new, state, method, collector)
    updated = step.update(round_, method, collector.seed, learner)
    after, events = step.advance(state, round_, method)
    return Played(round_, updated, after, events, learner)
