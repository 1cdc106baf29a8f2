"""The product's step in a world of the reference."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import get_args

from schemas.buffer import BufferEntry, BufferEvent, ReplayBuffer
from schemas.config.method import MethodConfig
from schemas.config.models import SamplingConfig
from schemas.question import Question
from schemas.rollout import Round
from schemas.state import TrainState
from tests.fakes.compressor import FirstWords
from tests.fakes.engine import EOS, ScriptedEngine
from tests.fakes.grader import TextGrader
from tests.fakes.teacher import ScriptedTeacher
from tests.reference.world import MAX_WORDS, World
from zppo.methods import parts
from zppo.methods.base import Collector, TrainingMethod
from zppo.methods.choose import choose_method
from zppo.ports import GenerationFailure, MiniBatch
from zppo.rendering import load_templates

SEED = 5
GENERAL = load_templates("general")
CONFIGS = {model.model_fields["type"].default: model for model in get_args(get_args(MethodConfig)[0])}
"""The configuration of every method, by its name."""


@dataclass(frozen=True)
class Played:
    """What a step did."""

    round: Round
    batches: list[MiniBatch]
    state: TrainState
    events: tuple[BufferEvent, ...]


def questions_of(world: World) -> dict[str, Question]:
    """Every question of a world by its id."""
    return {
        name: Question(
            id=name, source="world", text=f"What is {name} for ${{x}} ?", answer=gold, answer_kind="exact"
        )
        for name, gold in world.gold.items()
    }


def config_of(world: World) -> MethodConfig:
    """The method of a world with those of the profile's settings that it has."""
    its = world.profile
    model = CONFIGS[its.method]
    settings = {
        "group_size": its.group_size,
        "iterations": its.iterations,
        "normalization": its.normalization,
        "statistics": its.statistics,
        "tau": its.tau,
        "replay_fraction": its.replay_fraction,
        "buffer_capacity": its.capacity,
        "augment_fraction": its.augment_fraction,
        "teacher_group_size": its.teacher_group_size,
        "prefix_fraction": its.prefix_fraction,
    }
    config: MethodConfig = model(**{key: settings[key] for key in settings.keys() & model.model_fields})
    return config


def method_of(world: World) -> TrainingMethod:
    """The method of a world."""
    return choose_method(config_of(world))


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
        _, question, slot = group_id.split("/")
        text = world.student[question, slot][index]
        return GenerationFailure("asked to fail") if text is None else text

    return ScriptedEngine(answer)


def scripted_teacher(world: World, tokens: Callable[[str], tuple[int, ...]]) -> ScriptedTeacher:
    """The teacher of a world, who draws these tokens for a text."""
    return ScriptedTeacher(
        lambda name, index: world.teacher[name][index],
        world.profile.teacher_pool,
        hint=lambda name, index: world.hints[name][index],
        tokens=tokens,
    )


def collector_of(world: World, seed: int = SEED, engine: ScriptedEngine | None = None) -> Collector:
    """Every port of a world, scripted."""
    engine = engine or scripted_engine(world)
    return Collector(
        engine=engine,
        grader=TextGrader(),
        teacher=scripted_teacher(world, lambda text: (*engine.tokenize(text), EOS)),
        compressor=FirstWords("teacher", world.unshortenable.__contains__),
        extractive=FirstWords("extractive", world.vanishing.__contains__),
        templates=GENERAL,
        special_tokens=("<eos2>",),
        sampling=SamplingConfig(max_response_tokens=MAX_WORDS),
        seed=seed,
        question=questions_of(world).__getitem__,
        phase=lambda name: nullcontext(),
    )


def play(world: World, collector: Collector | None = None) -> Played:
    """One whole step."""
    collector = collector or collector_of(world)
    config, method, state = config_of(world), method_of(world), state_of(world)
    new = [collector.question(name) for name in world.new]
    round_ = method.collect(world.round, new, state, collector)
    batches = method.batches(round_, collector.seed)
    after, events = parts.advance(state, round_, config)
    return Played(round_, batches, after, events)
