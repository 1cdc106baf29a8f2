"""Grading and teacher beside the sampler: the round is the same, whoever is faster."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from threading import Event
from time import sleep

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.config.models import DecodingConfig
from schemas.question import Question
from tests.reference.product import play
from tests.reference.world import METHODS, NAMED, Profile, make_world
from tests.unit.methods.ports import SeededEngine, seeded
from zppo.beside import threads
from zppo.errors import EngineError
from zppo.ports import (
    Finished,
    Generation,
    GenerationFailure,
    GenerationRequest,
    Grade,
    Grader,
    Teacher,
    TeacherAnswer,
    Visit,
)

HARD = make_world(replace(NAMED["every question hard"], teacher_skill=1.0))


@dataclass
class Slow:
    """A grader and a teacher that take now shorter, now longer, and may fail."""

    grader: Grader
    teacher: Teacher
    random: Random
    fails: str = ""

    def grade(self, responses: Sequence[tuple[Question, str]]) -> list[Grade]:
        sleep(self.random.uniform(0, 2e-3))
        if self.fails == "grader":
            raise EngineError("no grader")
        return self.grader.grade(responses)

    def respond(self, visits: Sequence[Visit]) -> list[TeacherAnswer]:
        sleep(self.random.uniform(0, 2e-3))
        if self.fails == "teacher":
            raise EngineError("no teacher")
        return self.teacher.respond(visits)


@settings(max_examples=40, deadline=None)
@given(st.builds(Profile, seed=st.integers(0, 10**6), method=st.sampled_from(METHODS)), st.randoms())
def test_a_round_does_not_depend_on_what_is_done_beside_the_sampler(profile: Profile, random: Random) -> None:
    world = make_world(profile)
    expected, ports = play(world, seeded(world)), seeded(world)
    assert ports.teacher is not None
    slow = Slow(ports.grader, ports.teacher, random)
    with threads(3, teacher=random.random() < 0.5) as beside:
        assert play(world, replace(ports, grader=slow, teacher=slow, beside=beside)) == expected


@dataclass
class LastMinute(SeededEngine):
    """A sampler that, its last token drawn, does not return before the teacher was asked."""

    asked: Event

    def __post_init__(self) -> None:
        super().__init__()

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        decoding: DecodingConfig,
        finished: Finished | None = None,
    ) -> list[tuple[Generation | GenerationFailure, ...]]:
        answers = super().generate(requests, decoding, finished)
        assert self.asked.wait(10)
        return answers


@dataclass
class Noticing:
    """A teacher who tells that he was asked."""

    teacher: Teacher
    asked: Event

    def respond(self, visits: Sequence[Visit]) -> list[TeacherAnswer]:
        self.asked.set()
        return self.teacher.respond(visits)


def test_the_teacher_is_asked_while_the_sampler_is_still_at_work() -> None:
    ports, asked = seeded(HARD), Event()
    assert ports.teacher is not None
    noticing = Noticing(ports.teacher, asked)
    with threads(2) as beside:
        round_ = play(HARD, replace(ports, engine=LastMinute(asked), teacher=noticing, beside=beside)).round
    assert round_.of_kind("bcq")


def test_a_teacher_that_needs_this_machine_is_asked_when_the_sampler_is_done() -> None:
    ports, asked, before = seeded(HARD), Event(), list[bool]()

    class Watched(SeededEngine):
        def generate(
            self,
            requests: Sequence[GenerationRequest],
            decoding: DecodingConfig,
            finished: Finished | None = None,
        ) -> list[tuple[Generation | GenerationFailure, ...]]:
            answers = super().generate(requests, decoding, finished)
            before.append(asked.wait(0.1))
            return answers

    assert ports.teacher is not None
    noticing = Noticing(ports.teacher, asked)
    with threads(2, teacher=False) as beside:
        play(HARD, replace(ports, engine=Watched(), teacher=noticing, beside=beside))
    assert before == [False, True], "plain prompts, the teacher, reformulated prompts"


@pytest.mark.parametrize("who", ["grader", "teacher"])
def test_an_error_beside_the_sampler_is_the_error_of_the_round(who: str) -> None:
    ports = seeded(HARD)
    assert ports.teacher is not None
    slow = Slow(ports.grader, ports.teacher, Random(0), fails=who)
    with pytest.raises(EngineError, match=f"no {who}"), threads(2) as beside:
        play(HARD, replace(ports, grader=slow, teacher=slow, beside=beside))
