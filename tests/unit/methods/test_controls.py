"""Each control takes away what it says, and nothing else."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.rollout import Group
from tests.reference.product import collector_of, method_of, play
from tests.reference.world import NAMED, Profile, World, make_world
from zppo.ports import MiniBatch, PolicyRow

FULL = replace(NAMED["every question hard"], teacher_skill=1.0)


def some_worlds(method: str) -> st.SearchStrategy[World]:
    return st.builds(
        Profile,
        seed=st.integers(0, 10**6),
        method=st.just(method),
        skill=st.sampled_from([0.1, 0.4]),
        errors=st.sampled_from([0.0, 0.2]),
        normalization=st.sampled_from(["none", "nonzero", "all"]),
    ).map(make_world)


def kinds_of(world: World) -> list[tuple[str, str]]:
    return [(group.question_id, group.prompt.kind) for group in play(world).round.groups]


@pytest.mark.parametrize("control", ["control_wrong_pair", "control_no_gradient"])
def test_a_control_draws_the_prompts_that_zppo_draws(control: str) -> None:
    world = make_world(FULL)
    assert kinds_of(replace(world, profile=replace(FULL, method=control))) == kinds_of(world)


def test_there_are_as_many_extra_groups_as_zppo_has_reformulated_ones_for_the_same_questions() -> None:
    world = make_world(FULL)
    extra = kinds_of(replace(world, profile=replace(FULL, method="control_extra_plain")))
    assert [name for name, _ in extra] == [name for name, _ in kinds_of(world)]
    assert [kind for _, kind in extra if kind != "plain"] == ["extra"] * 3


@settings(max_examples=30)
@given(some_worlds("control_wrong_pair"))
def test_a_wrong_pair_is_two_different_wrong_rollouts_and_nothing_of_the_teachers(world: World) -> None:
    round_ = play(world, replace(collector_of(world), teacher=None)).round
    rewards = {f"{group.id}#{each.index}": each.reward for group in round_.groups for each in group.rollouts}
    for group in round_.of_kind("bcq"):
        origins = [each.origin for each in group.prompt.candidates]
        assert len(set(origins)) == 2
        assert [rewards[origin] for origin in origins] == [0, 0]
        assert {(each.author, each.correct) for each in group.prompt.candidates} == {("student", False)}
    assert round_.teacher == ()


def test_one_wrong_rollout_makes_no_pair() -> None:
    world = make_world(replace(FULL, method="control_wrong_pair", tau=1.0, augment_fraction=1.0))
    texts = (r"a \boxed{w1}", *(r"b \boxed{Gold}",) * 3)
    student = {key: texts if key[1] == "plain" else each for key, each in world.student.items()}
    round_ = play(replace(world, student=student)).round
    assert round_.of_kind("bcq") == ()
    assert round_.of_kind("ncq")
    assert (round_.eligible["bcq"], round_.eligible["ncq"]) == (0, len(round_.of_kind("plain")))


@settings(max_examples=30)
@given(some_worlds("control_extra_plain"))
def test_extra_groups_ask_the_plain_prompt_again_and_never_touch_the_buffer(world: World) -> None:
    played = play(world)
    plain = {group.question_id: group.prompt for group in played.round.of_kind("plain")}
    for group in played.round.of_kind("extra"):
        assert group.prompt.model_copy(update={"kind": "plain"}) == plain[group.question_id]
    for answer in (r"so \boxed{Gold}", r"so \boxed{w1}"):
        student = {key: (answer,) * 4 if "extra" in key[1] else each for key, each in world.student.items()}
        again = play(replace(world, student=student))
        assert (again.state, again.events) == (played.state, played.events)


def advantages_of(batches: list[MiniBatch]) -> dict[str, float]:
    return {
        row.rollout: row.advantage
        for batch in batches
        for row in batch.rows
        if isinstance(row, PolicyRow)
    }  # fmt: skip


@settings(max_examples=60)
@given(some_worlds("control_no_gradient"))
def test_without_gradient_plain_groups_learn_as_if_they_were_alone(world: World) -> None:
    played = play(world)
    alone = played.round.model_copy(update={"groups": played.round.of_kind("plain")})
    ours = advantages_of(played.batches)
    theirs = advantages_of(method_of(world).batches(alone, 5))
    assert {name: value for name, value in ours.items() if "/plain#" in name} == theirs
    assert not any(value for name, value in ours.items() if "/plain#" not in name)


@settings(max_examples=30)
@given(some_worlds("control_no_gradient"))
def test_without_gradient_the_tokens_are_still_counted(world: World) -> None:
    played = play(world)
    if played.batches:
        drawn = sorted(f"{group.id}#{each.index}" for group in played.round.groups for each in group.rollouts)
        assert sorted(advantages_of(played.batches)) == drawn


def test_no_gradient_differs_from_zppo_in_what_it_learns_only() -> None:
    world = make_world(replace(FULL, skill=0.3, method="control_no_gradient"))
    zppo = replace(world, profile=replace(world.profile, method="zppo"))
    ours, theirs = play(world), play(zppo)
    assert (ours.round, ours.state, ours.events) == (theirs.round, theirs.state, theirs.events)
    assert any(_learns(theirs.batches, group) for group in theirs.round.of_kind("ncq"))
    assert not any(_learns(ours.batches, group) for group in ours.round.of_kind("ncq"))


def _learns(batches: list[MiniBatch], group: Group) -> bool:
    return any(value for name, value in advantages_of(batches).items() if name.startswith(f"{group.id}#"))


def test_where_only_refused_groups_have_a_spread_there_is_no_update() -> None:
    world = make_world(replace(FULL, method="control_no_gradient"))
    half = (r"so \boxed{Gold}", "no") * 2
    student = {key: each if key[1] == "plain" else half for key, each in world.student.items()}
    played = play(replace(world, student=student))
    assert any(0 < (group.accuracy or 0) < 1 for group in played.round.groups)
    assert played.batches == []
