"""Prefix groups: which tokens are forced, and that none of them is learned."""

from dataclasses import replace
from math import floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference.product import collector_of, play, scripted_engine
from tests.reference.world import MAX_WORDS, NAMED, Profile, World, make_world

CALM = replace(NAMED["every question hard"], method="prefix", augment_fraction=1.0, teacher_skill=1.0)
worlds = st.builds(
    Profile,
    seed=st.integers(0, 10**6),
    method=st.just("prefix"),
    skill=st.sampled_from([0.1, 0.4]),
    wordy=st.sampled_from([0.0, 0.5]),
    prefix_fraction=st.sampled_from([0.1, 0.4, 0.9]),
).map(make_world)


def response_of(world: World, origin: str) -> str:
    name, index = origin.removeprefix("pool/").split("#")
    return world.teacher[name][int(index)]


@settings(max_examples=40)
@given(worlds)
def test_a_prefix_is_the_first_part_of_a_correct_response_rounded_down(world: World) -> None:
    engine = scripted_engine(world)
    for group in play(world, collector_of(world, engine=engine)).round.of_kind("prefix"):
        response = response_of(world, group.prompt.origin)
        assert response.endswith(r"\boxed{Gold}")
        length = floor(world.profile.prefix_fraction * len(response.split()))
        assert engine.words(group.prompt.prefix_ids) == response.split()[:length]


@settings(max_examples=40)
@given(worlds)
def test_the_prompt_with_a_prefix_is_the_plain_one(world: World) -> None:
    round_ = play(world).round
    plain = {group.question_id: group.prompt for group in round_.of_kind("plain")}
    for group in round_.of_kind("prefix"):
        assert group.prompt.text == plain[group.question_id].text
        assert group.prompt.token_ids == plain[group.question_id].token_ids


@settings(max_examples=40)
@given(worlds)
def test_forced_tokens_stand_before_the_response_of_a_row_and_never_in_it(world: World) -> None:
    engine = scripted_engine(world)
    played = play(world, collector_of(world, engine=engine))
    groups = {group.id: group for group in played.round.groups}
    for batch in played.batches:
        for row in batch.rows:
            group_id, index = row.rollout.split("#")
            prompt = groups[group_id].prompt
            (rollout,) = (each for each in groups[group_id].rollouts if each.index == int(index))
            said = world.student[group_id.split("/")[1], prompt.kind][int(index)]
            assert said is not None
            assert row.prompt_ids == prompt.token_ids + prompt.prefix_ids
            assert row.response_ids == rollout.token_ids
            assert said.startswith(engine.decode(row.response_ids))
            assert rollout.text == engine.decode(prompt.prefix_ids + row.response_ids)


@settings(max_examples=40)
@given(worlds)
def test_a_prefix_and_its_continuation_stay_under_the_limit_together(world: World) -> None:
    for group in play(world).round.groups:
        for rollout in group.rollouts:
            assert len(group.prompt.prefix_ids) + len(rollout.token_ids) <= MAX_WORDS
        if len(group.prompt.prefix_ids) >= MAX_WORDS:
            assert group.rollouts == ()


def test_a_group_whose_prefix_leaves_no_room_learns_nothing_and_says_why() -> None:
    world = make_world(replace(CALM, wordy=1.0, prefix_fraction=0.9, skill=0.4))
    played = play(world)
    crowded = [group for group in played.round.of_kind("prefix") if len(group.prompt.prefix_ids) >= MAX_WORDS]
    assert crowded
    learned = {row.rollout.split("#")[0] for batch in played.batches for row in batch.rows}
    for group in crowded:
        assert {(each.outcome, "prefix" in each.cause) for each in group.failures} == {("engine_error", True)}
        assert group.id not in learned


@pytest.mark.parametrize("profile", [replace(CALM, teacher_skill=0.0), replace(CALM, teacher_pool=0)])
def test_without_a_correct_response_a_question_contributes_its_plain_group_only(
    profile: Profile,
) -> None:
    played = play(make_world(profile))
    assert played.round.of_kind("prefix") == ()
    assert played.round.eligible == {"prefix": 0}
    assert played.round.teacher


def test_advantages_are_over_the_continuations_of_one_prefix() -> None:
    world = make_world(CALM)
    texts = (r"so \boxed{Gold}", "no", "no", "no")
    student = {key: texts if key[1] == "prefix" else each for key, each in world.student.items()}
    played = play(replace(world, student=student))
    advantages: dict[str, list[float]] = {}
    for batch in played.batches:
        for row in batch.rows:
            advantages.setdefault(row.rollout.split("#")[0], []).append(row.advantage)  # type: ignore[union-attr]
    prefixed = {name: values for name, values in advantages.items() if name.endswith("/prefix")}
    assert prefixed
    for first, *others in prefixed.values():
        assert first == pytest.approx(3**0.5, rel=1e-5)
        assert others == pytest.approx([-(3**-0.5)] * 3, rel=1e-5)
    assert not any(any(values) for name, values in advantages.items() if name.endswith("/plain"))
