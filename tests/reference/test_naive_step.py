"""The product's step and the naive one agree on everything, in hundreds of situations."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference.naive_step import NaiveStep, naive_step
from tests.reference.product import Played, play
from tests.reference.world import METHODS, NAMED, Profile, World, make_world

fractions = st.sampled_from([0.0, 0.1, 0.25, 0.29, 0.5, 1.0])
shares = st.sampled_from([0.0, 0.1, 0.4, 0.8, 1.0])
profiles = st.builds(
    Profile,
    seed=st.integers(0, 10**9),
    method=st.sampled_from(METHODS),
    new=st.integers(0, 9),
    buffered=st.integers(0, 8),
    overlap=st.booleans(),
    capacity=st.integers(8, 12),
    group_size=st.integers(2, 5),
    teacher_group_size=st.integers(1, 4),
    teacher_pool=st.integers(0, 8),
    tau=st.sampled_from([0.25, 0.5, 0.6, 1.0]),
    replay_fraction=fractions,
    augment_fraction=fractions,
    iterations=st.integers(1, 5),
    normalization=st.sampled_from(["none", "nonzero", "all"]),
    statistics=st.sampled_from(["step", "mini_batch"]),
    skill=shares,
    teacher_skill=shares,
    errors=st.sampled_from([0.0, 0.0, 0.1, 0.5, 1.0]),
    unshortenable=shares,
    vanishing=shares,
)


def assert_same(played: Played, naive: NaiveStep, world: World) -> None:
    round_ = played.round
    assert round_.new_question_ids == world.new
    assert list(round_.replay_question_ids) == naive.replayed
    assert [group.id for group in round_.groups] == [group.id for group in naive.groups]
    for ours, theirs in zip(round_.groups, naive.groups, strict=True):
        assert ours.prompt.kind == theirs.kind
        assert ours.origin == ("replay" if theirs.question in naive.replayed else "new")
        assert ours.prompt.text == theirs.prompt
        assert [each.origin for each in ours.prompt.candidates] == theirs.shown
        assert list(ours.prompt.wrong_answers) == theirs.listed
        assert [(each.index, each.text, each.answer, each.reward) for each in ours.rollouts] == [
            (each.index, each.text, each.answer, each.reward) for each in theirs.rollouts
        ]
        assert [each.index for each in ours.failures] == theirs.failed
    assert (round_.eligible_bcq, round_.eligible_ncq) == naive.eligible

    batches = [[(row.rollout, row.advantage) for row in batch.rows] for batch in played.learner.batches]
    assert [[name for name, _ in batch] for batch in batches] == [
        [name for name, _ in batch] for batch in naive.batches
    ]
    ours_flat = [advantage for batch in batches for _, advantage in batch]
    assert ours_flat == pytest.approx(
        [advantage for batch in naive.batches for _, advantage in batch], rel=1e-12, abs=1e-12
    )
    assert list(played.updated.advantages) == ours_flat
    assert len(played.updated.statistics) == len(naive.batches)

    assert [
        (each.question_id, each.admitted_round, each.entry_accuracy, each.visits)
        for each in played.state.buffer.entries
    ] == naive.buffer
    assert [
        (each.event, each.question_id, each.entry_accuracy, each.accuracy, each.visits, each.admitted_round)
        for each in played.events
    ] == naive.events
    assert played.state.served == naive.served
    assert played.state.round == world.round


@settings(max_examples=400)
@given(profiles)
def test_the_step_is_the_one_that_the_naive_reference_makes(profile: Profile) -> None:
    world = make_world(profile)
    assert_same(play(world), naive_step(world), world)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", NAMED)
def test_it_is_the_same_in_every_named_situation(name: str, method: str) -> None:
    for seed in range(3):
        world = make_world(replace(NAMED[name], method=method, seed=seed))
        assert_same(play(world), naive_step(world), world)


def _naive(name: str) -> NaiveStep:
    return naive_step(make_world(NAMED[name]))


def _kinds(step: NaiveStep) -> list[str]:
    return [group.kind for group in step.groups]


def test_the_named_situations_are_what_their_names_say() -> None:
    assert set(_kinds(_naive("no hard question"))) == {"plain"}
    assert not _naive("no hard question").batches
    everyone = [group for group in _naive("every question hard").groups if group.kind == "plain"]
    assert all(not any(rollout.reward for rollout in group.rollouts) for group in everyone)
    assert _naive("empty buffer").replayed == []
    assert any(event[0] == "evict" for event in _naive("full buffer").events)
    assert len(_naive("a buffer of one").buffer) == 1
    assert set(_kinds(_naive("a teacher that never succeeds"))) == {"plain", "ncq"}
    assert _naive("a teacher that never succeeds").served != _naive("a teacher that has nothing left").served
    assert any(group.failed and group.rollouts for group in _naive("errors in groups").groups)
    assert not any(group.rollouts for group in _naive("no valid rollout").groups)
    assert not _naive("no valid rollout").batches
    assert _kinds(_naive("one slot under the cap")).count("bcq") == 1
    assert _kinds(_naive("one slot under the cap")).count("ncq") == 0
    assert (_kinds(_naive("a slot left for a BCQ"))[-3:]) == ["bcq", "ncq", "bcq"]
    assert set(_kinds(_naive("no slot"))) == {"plain"}
    assert "extractive" in _naive("nothing can be shortened").groups[-1].prompt
    assert set(_kinds(_naive("nothing is left of what is shortened"))) == {"plain"}
    assert {"ncq"} <= set(_kinds(_naive("little is left of what is shortened")))
    assert _naive("no new question").groups == []
