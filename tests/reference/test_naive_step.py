"""The product's step and the naive one agree on everything, in hundreds of situations, for every method."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.rollout import Group
from tests.fakes.engine import ScriptedEngine
from tests.reference.naive_step import naive_step
from tests.reference.naive_values import NaiveGroup, NaiveStep
from tests.reference.product import CONFIGS, Played, collector_of, play, scripted_engine
from tests.reference.world import METHODS, NAMED, Profile, World, make_world
from zppo.ports import DistillationRow, PolicyRow, TrainingRow

fractions = st.sampled_from([0.0, 0.1, 0.25, 0.29, 0.5, 1.0])
shares = st.sampled_from([0.0, 0.1, 0.4, 0.8, 1.0])
profiles = st.builds(
    Profile,
    seed=st.integers(0, 10**9),
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
    prefix_fraction=st.sampled_from([0.1, 0.25, 0.4, 0.9]),
    iterations=st.integers(1, 5),
    normalization=st.sampled_from(["none", "nonzero", "all"]),
    statistics=st.sampled_from(["step", "mini_batch"]),
    skill=shares,
    teacher_skill=shares,
    hinted=shares,
    wordy=shares,
    errors=st.sampled_from([0.0, 0.0, 0.1, 0.5, 1.0]),
    unshortenable=shares,
    vanishing=shares,
)


def assert_same(world: World) -> None:
    engine = scripted_engine(world)
    played, naive = play(world, collector_of(world, engine=engine)), naive_step(world)
    assert played.round.new_question_ids == world.new
    assert list(played.round.replay_question_ids) == naive.replayed
    assert [group.id for group in played.round.groups] == [group.id for group in naive.groups]
    for ours, theirs in zip(played.round.groups, naive.groups, strict=True):
        assert ours.origin == ("replay" if theirs.question in naive.replayed else "new")
        assert_same_group(ours, theirs, engine)
    assert played.round.eligible == naive.eligible
    assert [visit.question_id for visit in played.round.teacher] == naive.visited
    assert_same_rows(played, naive, engine)
    assert_same_state(played, naive)
    assert played.state.round == world.round


def assert_same_group(ours: Group, theirs: NaiveGroup, engine: ScriptedEngine) -> None:
    assert ours.prompt.kind == theirs.kind
    assert ours.prompt.text == theirs.prompt
    assert engine.words(ours.prompt.context_ids) == theirs.context
    assert [each.origin for each in ours.prompt.candidates] == theirs.shown
    assert list(ours.prompt.wrong_answers) == theirs.listed
    assert ours.prompt.hint == theirs.hint
    assert engine.words(ours.prompt.prefix_ids) == theirs.prefix
    assert ours.prompt.origin == theirs.origin
    assert [(each.index, each.text, each.answer, each.reward) for each in ours.rollouts] == [
        (each.index, each.text, each.answer, each.reward) for each in theirs.rollouts
    ]
    assert [each.index for each in ours.failures] == theirs.failed


def assert_same_rows(played: Played, naive: NaiveStep, engine: ScriptedEngine) -> None:
    ours = [[described(row, engine) for row in batch.rows] for batch in played.batches]
    assert ours == [[(row.name, row.context, row.response) for row in batch] for batch in naive.batches]
    assert [number(row) for batch in played.batches for row in batch.rows] == pytest.approx(
        [row.number for batch in naive.batches for row in batch], rel=1e-12, abs=1e-12
    )


def described(row: TrainingRow, engine: ScriptedEngine) -> tuple[str, list[str], list[str]]:
    return row.rollout, engine.words(row.prompt_ids), engine.words(row.response_ids)


def number(row: PolicyRow | DistillationRow) -> float:
    return row.advantage if isinstance(row, PolicyRow) else row.weight


def assert_same_state(played: Played, naive: NaiveStep) -> None:
    assert [
        (each.question_id, each.admitted_round, each.entry_accuracy, each.visits)
        for each in played.state.buffer.entries
    ] == naive.buffer
    assert [
        (each.event, each.question_id, each.entry_accuracy, each.accuracy, each.visits, each.admitted_round)
        for each in played.events
    ] == naive.events
    assert played.state.served == naive.served


def test_the_reference_knows_every_method() -> None:
    assert sorted(METHODS) == sorted(CONFIGS)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=150)
@given(profile=profiles)
def test_the_step_is_the_one_that_the_naive_reference_makes(method: str, profile: Profile) -> None:
    assert_same(make_world(replace(profile, method=method)))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", NAMED)
def test_it_is_the_same_in_every_named_situation(name: str, method: str) -> None:
    for seed in range(3):
        assert_same(make_world(replace(NAMED[name], method=method, seed=seed)))


def _naive(name: str, method: str = "zppo") -> NaiveStep:
    return naive_step(make_world(replace(NAMED[name], method=method)))


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


def test_the_named_situations_are_what_their_names_say_for_the_other_methods_too() -> None:
    assert _kinds(_naive("one slot under the cap", "control_extra_plain"))[-2:] == ["plain", "extra"]
    assert _kinds(_naive("a slot left for a BCQ", "control_extra_plain"))[-3:] == ["extra"] * 3
    assert set(_kinds(_naive("a teacher without hints", "hint"))) == {"plain"}
    assert _naive("a teacher without hints", "hint").visited
    for method in ("hint", "prefix", "off_policy_distillation"):
        assert set(_kinds(_naive("a teacher that never succeeds", method))) == {"plain"}
        assert set(_kinds(_naive("a teacher that has nothing left", method))) == {"plain"}
    assert not _naive("a teacher that never succeeds", "off_policy_distillation").batches
    assert _naive("no valid rollout", "off_policy_distillation").batches
    assert not _naive("no valid rollout", "on_policy_distillation").batches
    crowded = _naive("a teacher whose responses leave no room", "prefix").groups
    assert any(group.prefix and group.failed and not group.rollouts for group in crowded)
    helped = _naive("one slot under the cap", "hint")
    assert (_kinds(helped).count("hint"), len(helped.visited)) == (1, 1)
