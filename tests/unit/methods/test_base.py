"""What every method promises."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.question import Question
from tests.fakes.grader import TextGrader
from tests.reference.product import (
    GENERAL,
    collector_of,
    play,
    scripted_engine,
    scripted_teacher,
    state_of,
)
from tests.reference.world import DISTILLATION, METHODS, NAMED, POLICY_GRADIENT, Profile, World, make_world
from tests.unit.methods.ports import Backwards, seeded
from zppo.ports import DistillationRow, Grade, Grader, PolicyRow

every_method = pytest.mark.parametrize("method", METHODS)
few = settings(max_examples=8)


def some_worlds(method: str) -> st.SearchStrategy[World]:
    return st.builds(
        Profile,
        seed=st.integers(0, 10**6),
        method=st.just(method),
        errors=st.sampled_from([0.0, 0.2]),
        skill=st.sampled_from([0.1, 0.4]),
    ).map(make_world)


def hard(method: str) -> World:
    """Every question is hard and the teacher can answer all."""
    return make_world(
        replace(NAMED["every question hard"], method=method, teacher_skill=1.0, hinted=1.0, wordy=0.0)
    )


@every_method
@few
@given(data=st.data())
def test_a_step_is_a_function_of_its_inputs(method: str, data: st.DataObject) -> None:
    world = data.draw(some_worlds(method))
    assert play(world, seeded(world)) == play(world, seeded(world))


@every_method
@few
@given(data=st.data())
def test_a_step_does_not_depend_on_the_order_in_which_ports_are_asked(
    method: str, data: st.DataObject
) -> None:
    world = data.draw(some_worlds(method))
    forwards = seeded(world)
    ports = Backwards(forwards)
    backwards = replace(forwards, engine=ports, grader=ports, teacher=ports, compressor=ports)
    assert play(world, backwards).round == play(world, forwards).round


@every_method
def test_another_run_seed_gives_another_round(method: str) -> None:
    world = hard(method)
    assert play(world, seeded(world, 5)).round != play(world, seeded(world, 6)).round


@pytest.mark.parametrize("method", POLICY_GRADIENT)
@few
@given(data=st.data())
def test_every_token_that_carries_gradient_was_sampled_by_the_student_from_the_prompt_beside_it(
    method: str, data: st.DataObject
) -> None:
    world = data.draw(some_worlds(method))
    taught = {name: tuple(f"TEACHER {text}" for text in texts) for name, texts in world.teacher.items()}
    world = replace(world, teacher=taught)
    engine = scripted_engine(world)
    played = play(world, collector_of(world, engine=engine))
    contexts = {request.id: request.prompt_ids + request.prefix_ids for request in engine.requests}
    for batch in played.batches:
        for row in batch.rows:
            assert isinstance(row, PolicyRow)
            group_id, index = row.rollout.split("#")
            _, question, slot = group_id.split("/")
            said = world.student[question, slot][int(index)]
            assert said is not None
            assert said.startswith(engine.decode(row.response_ids))
            assert "TEACHER" not in engine.decode(row.response_ids)
            assert row.prompt_ids == contexts[group_id]
            assert len(row.old_logprobs) == len(row.response_ids)
    for group in played.round.groups:
        assert group.prompt.text.count("TEACHER") == (
            1 if group.prompt.kind == "bcq" and method != "control_wrong_pair" else 0
        )


@pytest.mark.parametrize("method", POLICY_GRADIENT)
@few
@given(data=st.data())
def test_an_update_uses_every_valid_rollout_once_and_whole_groups(method: str, data: st.DataObject) -> None:
    played = play(data.draw(some_worlds(method)))
    if not played.batches:
        return
    names = [[row.rollout for row in batch.rows] for batch in played.batches]
    valid = [f"{group.id}#{each.index}" for group in played.round.groups for each in group.rollouts]
    assert Counter(name for batch in names for name in batch) == Counter(valid)
    places = [{name.split("#")[0] for name in batch} for batch in names]
    assert sum(map(len, places)) == len(set().union(*places))


@pytest.mark.parametrize("method", POLICY_GRADIENT)
@few
@given(data=st.data())
def test_advantages_of_every_group_sum_to_zero_whatever_its_kind(method: str, data: st.DataObject) -> None:
    sums: dict[str, float] = {}
    for batch in play(data.draw(some_worlds(method))).batches:
        for row in batch.rows:
            assert isinstance(row, PolicyRow)
            group_id = row.rollout.split("#")[0]
            sums[group_id] = sums.get(group_id, 0.0) + row.advantage
    assert all(total == pytest.approx(0.0, abs=1e-9) for total in sums.values())


@pytest.mark.parametrize("method", DISTILLATION)
def test_distillation_gives_rows_of_its_own_kind(method: str) -> None:
    (batch,) = play(hard(method)).batches
    assert all(isinstance(row, DistillationRow) for row in batch.rows)


@every_method
def test_every_prompt_of_a_round_ends_with_the_closing_instruction(method: str) -> None:
    groups = play(hard(method)).round.groups
    assert groups
    assert all(group.prompt.text.endswith(GENERAL.closing) for group in groups)


KINDS = {
    "zppo": {"bcq", "ncq"},
    "grpo": set(),
    "grpo_replay": set(),
    "grpo_both": {"bcq", "ncq"},
    "grpo_replay_bcq": {"bcq"},
    "grpo_replay_ncq": {"ncq"},
    "hint": {"hint"},
    "prefix": {"prefix"},
    "off_policy_distillation": set(),
    "off_policy_distillation_replay": set(),
    "on_policy_distillation": set(),
    "on_policy_distillation_replay": set(),
    "control_wrong_pair": {"bcq", "ncq"},
    "control_extra_plain": {"extra"},
    "control_no_gradient": {"bcq", "ncq"},
}
WITHOUT_BUFFER = ("grpo", "grpo_both", "off_policy_distillation", "on_policy_distillation")
ASKS = {
    "zppo": "hard",
    "grpo_both": "hard",
    "grpo_replay_bcq": "hard",
    "control_no_gradient": "hard",
    "hint": "within the cap",
    "prefix": "within the cap",
    "off_policy_distillation": "all",
    "off_policy_distillation_replay": "all",
}


@every_method
def test_each_method_has_its_kinds_of_prompts_and_its_buffer(method: str) -> None:
    world = hard(method)
    played = play(world)
    assert {group.prompt.kind for group in played.round.groups} == {"plain"} | KINDS[method]
    assert bool(played.round.replay_question_ids) == (method not in WITHOUT_BUFFER)
    assert bool(played.events) == (method not in WITHOUT_BUFFER)
    assert (played.state.buffer == state_of(world).buffer) == (method in WITHOUT_BUFFER)


@every_method
def test_a_method_asks_the_teacher_about_just_the_questions_that_it_needs(method: str) -> None:
    world = make_world(Profile(method=method, errors=0.0, skill=0.5, new=12, augment_fraction=0.25))
    teacher = scripted_teacher(world, lambda text: (1,))
    played = play(world, replace(collector_of(world), teacher=teacher))
    plain = {group.question_id: group.accuracy or 0.0 for group in played.round.of_kind("plain")}
    hard_ones = sorted(accuracy for accuracy in plain.values() if accuracy < 0.5)
    visited = [visit.question.id for visit in teacher.visits]
    expected = {
        "hard": hard_ones,
        "within the cap": hard_ones[:3],
        "all": list(plain.values()),
        "none": [],
    }[ASKS.get(method, "none")]
    assert [plain[name] for name in visited] == expected
    assert len(set(visited)) == len(visited)
    assert [visit.question_id for visit in played.round.teacher] == visited


@pytest.mark.parametrize("method", sorted(set(METHODS) - set(ASKS)))
def test_a_method_without_a_teacher_needs_none(method: str) -> None:
    world = hard(method)
    assert play(world, replace(collector_of(world), teacher=None)).round == play(world).round


@every_method
def test_only_plain_rollouts_count_for_the_buffer(method: str) -> None:
    world = hard(method)
    right = tuple(r"so \boxed{Gold}" for _ in range(4))
    student = {key: texts if key[1] == "plain" else right for key, texts in world.student.items()}
    played = play(replace(world, student=student))
    assert any(group.accuracy == 1.0 for group in played.round.groups) == bool(KINDS[method])
    assert (played.state.buffer, played.events) == (play(world).state.buffer, play(world).events)
    assert "graduate" not in {each.event for each in played.events}


@every_method
def test_a_round_without_a_valid_rollout_leaves_the_buffer_alone_and_draws_nothing_more(method: str) -> None:
    world = make_world(replace(NAMED["no valid rollout"], method=method))
    played = play(world)
    assert (played.state.buffer, played.events) == (state_of(world).buffer, ())
    assert all(group.failures for group in played.round.groups)
    assert {group.prompt.kind for group in played.round.groups} == {"plain"}
    if not method.startswith("off_policy"):
        assert (played.state.served, played.batches) == (state_of(world).served, [])


@pytest.mark.parametrize("method", POLICY_GRADIENT)
def test_without_a_spread_in_any_group_there_is_no_update(method: str) -> None:
    assert play(make_world(replace(NAMED["no hard question"], method=method))).batches == []


@every_method
def test_seeds_of_rollouts_differ_between_rounds_questions_kinds_and_indices(method: str) -> None:
    world, seeds = hard(method), []
    for round_index in (9, 10):
        engine = scripted_engine(world)
        play(replace(world, round=round_index), collector_of(world, engine=engine))
        seeds += [seed for request in engine.requests for seed in request.seeds]
    assert len(seeds) == len(set(seeds))


@pytest.mark.parametrize("method", sorted(ASKS))
def test_seeds_of_the_teacher_differ_between_rounds_and_questions(method: str) -> None:
    world = hard(method)
    teacher = scripted_teacher(world, lambda text: (1,))
    for round_index in (9, 10):
        play(replace(world, round=round_index), replace(collector_of(world), teacher=teacher))
    seeds = [visit.seed for visit in teacher.visits]
    assert len(seeds) == len(set(seeds)) >= 6


def test_a_lazy_grader_is_caught() -> None:
    class Lazy:
        def grade(self, responses: Sequence[tuple[Question, str]]) -> list[Grade]:
            return TextGrader().grade(responses)[:-1]

    lazy: Grader = Lazy()
    world = hard("zppo")
    with pytest.raises(AssertionError, match="one grade a response"):
        play(world, replace(collector_of(world), grader=lazy))
