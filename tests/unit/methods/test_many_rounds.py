"""Steps one after another, on the state that the one before left."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from schemas.config.method import Replay, WithTeacher
from tests.fakes.teacher import ScriptedTeacher
from tests.reference.product import CONFIGS, config_of, method_of, questions_of, state_of
from tests.reference.world import Profile, make_world
from tests.unit.methods.ports import seeded
from zppo.methods import parts
from zppo.ports import Teacher, TeacherAnswer, Visit


class Recorder:
    """Remembers what the teacher was asked, round by round."""

    def __init__(self, inner: Teacher) -> None:
        self.inner = inner
        self.origins: dict[str, list[str]] = {}

    def respond(self, visits: Sequence[Visit]) -> list[TeacherAnswer]:
        answers = self.inner.respond(visits)
        for visit, answer in zip(visits, answers, strict=True):
            self.origins.setdefault(visit.question.id, []).extend(each.origin for each in answer.responses)
        return answers


@pytest.mark.parametrize("method", [name for name, config in CONFIGS.items() if issubclass(config, Replay)])
def test_over_many_rounds_no_question_is_twice_in_a_round_and_no_teacher_response_is_served_twice(
    method: str,
) -> None:
    world = make_world(Profile(method=method, new=12, buffered=0, capacity=5, skill=0.2, errors=0.0))
    teacher = Recorder(
        ScriptedTeacher(
            lambda name, index: rf"step v{index} \boxed{{Gold}}",
            hint=lambda name, index: f"think of v{index}",
            tokens=lambda text: (1, 0),
        )
    )
    collector = replace(seeded(world), teacher=teacher)
    questions, stepper = questions_of(world), method_of(world)
    state = state_of(replace(world, served={}, round=1))
    group_ids: list[str] = []
    for index in range(1, 13):
        new = [questions[f"n{(index * 4 + place) % 12}"] for place in range(4)]
        waiting = {each.question_id for each in state.buffer.entries}
        round_ = stepper.collect(index, new, state, collector)
        assert set(round_.replay_question_ids) <= waiting - {each.id for each in new}
        plain = [group.question_id for group in round_.of_kind("plain")]
        assert len(plain) == len(set(plain))
        assert len(round_.groups) - len(plain) <= 2
        group_ids += [group.id for group in round_.groups]
        state, _ = parts.advance(state, round_, config_of(world))
        assert len(state.buffer.entries) <= 5
    assert len(group_ids) == len(set(group_ids))
    assert any(len(origins) > 2 for origins in teacher.origins.values()) == issubclass(
        CONFIGS[method], WithTeacher
    )
    for name, origins in teacher.origins.items():
        assert len(origins) == len(set(origins)) == state.served[name]
