"""Distillation: along which responses, and with which weights."""

from dataclasses import replace
from math import fsum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.engine import EOS
from tests.reference.product import collector_of, play, scripted_engine, scripted_teacher
from tests.reference.world import DISTILLATION, NAMED, Profile, World, make_world
from zppo.ports import DistillationRow, MiniBatch

OFF_POLICY = [method for method in DISTILLATION if method.startswith("off")]
ON_POLICY = [method for method in DISTILLATION if method.startswith("on")]


def some_worlds(methods: list[str]) -> st.SearchStrategy[World]:
    return st.builds(
        Profile,
        seed=st.integers(0, 10**6),
        method=st.sampled_from(methods),
        teacher_group_size=st.integers(1, 4),
        teacher_skill=st.sampled_from([0.1, 0.6, 1.0]),
        errors=st.sampled_from([0.0, 0.4]),
    ).map(make_world)


def weights_of(batches: list[MiniBatch]) -> dict[str, dict[str, float]]:
    """By prompt, the weight of each of its responses."""
    weights: dict[str, dict[str, float]] = {}
    for batch in batches:
        for row in batch.rows:
            assert isinstance(row, DistillationRow)
            question = row.rollout.removeprefix("pool/").split("#")[0]
            weights.setdefault(question, {})[row.rollout] = row.weight
    return weights


@settings(max_examples=60)
@given(some_worlds([*OFF_POLICY, *ON_POLICY]))
def test_weights_are_a_mean_over_responses_and_then_over_questions(world: World) -> None:
    batches = play(world).batches
    weights = weights_of(batches)
    assert len(batches) <= 1
    assert not batches or fsum(
        weight for responses in weights.values() for weight in responses.values()
    ) == pytest.approx(1.0, abs=1e-12)
    for responses in weights.values():
        assert fsum(responses.values()) == pytest.approx(1 / len(weights), abs=1e-12)
        assert len(set(responses.values())) == 1


@settings(max_examples=40)
@given(some_worlds(OFF_POLICY))
def test_off_policy_learns_from_every_correct_response_to_every_question_and_from_no_other(
    world: World,
) -> None:
    engine = scripted_engine(world)
    played = play(world, collector_of(world, engine=engine))
    expected = {}
    for group in played.round.groups:
        first = world.served.get(group.question_id, 0)
        for index, text in enumerate(world.teacher[group.question_id]):
            wanted = first <= index < first + world.profile.teacher_group_size
            if wanted and text.endswith(r"\boxed{Gold}"):
                expected[f"pool/{group.question_id}#{index}"] = (
                    group.prompt.token_ids,
                    (*engine.tokenize(text), EOS),
                )
    learned = {
        row.rollout: (row.prompt_ids, row.response_ids) for batch in played.batches for row in batch.rows
    }
    assert learned == expected
    assert {visit.question_id for visit in played.round.teacher} == {
        group.question_id for group in played.round.groups
    }


@settings(max_examples=40)
@given(some_worlds(ON_POLICY))
def test_on_policy_learns_from_every_valid_rollout_right_or_wrong(world: World) -> None:
    played = play(world, replace(collector_of(world), teacher=None))
    learned = {
        row.rollout: (row.prompt_ids, row.response_ids) for batch in played.batches for row in batch.rows
    }
    assert learned == {
        f"{group.id}#{each.index}": (group.prompt.token_ids, each.token_ids)
        for group in played.round.groups
        for each in group.rollouts
    }


def test_failures_leave_the_mean() -> None:
    world = make_world(replace(NAMED["every question hard"], method="on_policy_distillation", new=3))
    student = dict(world.student)
    student["n0", "plain"] = (None, "one", None, "two")
    student["n1", "plain"] = (None, None, None, None)
    student["n2", "plain"] = ("one", "two", r"\boxed{crash}", "three")
    weights = weights_of(play(replace(world, student=student)).batches)
    assert weights == {
        "r9/n0/plain": {f"r9/n0/plain#{index}": 1 / 4 for index in (1, 3)},
        "r9/n2/plain": {f"r9/n2/plain#{index}": 1 / 6 for index in (0, 1, 3)},
    }


@pytest.mark.parametrize("method", OFF_POLICY)
@pytest.mark.parametrize("situation", ["a teacher that never succeeds", "a teacher that has nothing left"])
def test_without_a_correct_response_off_policy_has_nothing_to_learn_from(method: str, situation: str) -> None:
    played = play(make_world(replace(NAMED[situation], method=method)))
    assert (played.round.demonstrations, played.batches) == ((), [])


@pytest.mark.parametrize("method", OFF_POLICY)
def test_a_question_that_the_student_could_not_answer_is_demonstrated_all_the_same(method: str) -> None:
    played = play(make_world(replace(NAMED["no valid rollout"], method=method, teacher_skill=1.0)))
    assert len(weights_of(played.batches)) == len(played.round.groups)


def test_a_teacher_that_cannot_tell_its_tokens_is_caught() -> None:
    world = make_world(replace(NAMED["every question hard"], method="off_policy_distillation"))
    taught = collector_of(world)
    mute = replace(taught, teacher=scripted_teacher(world, lambda text: ()))
    assert play(world, taught).round.demonstrations
    with pytest.raises(AssertionError, match="draws its own tokens"):
        play(world, mute)
