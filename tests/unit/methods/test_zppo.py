"""BCQ and NCQ prompts: how their candidates are shortened."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.compressor import FirstWords
from tests.reference.product import CONFIGS, collector_of, play
from tests.reference.world import NAMED, REFORMULATING, Profile, make_world
from zppo.methods.zppo import PRESETS, Switches

HARD = make_world(replace(NAMED["every question hard"], teacher_skill=1.0))


@settings(max_examples=30)
@given(
    st.builds(Profile, seed=st.integers(0, 10**6), method=st.sampled_from(REFORMULATING), skill=st.just(0.2))
)
def test_all_candidates_of_a_prompt_are_shortened_in_one_way(profile: Profile) -> None:
    for group in play(make_world(profile)).round.groups:
        shown = group.prompt.candidates
        assert len({each.compression for each in shown}) <= 1
        assert all(each.text.startswith(each.compression) for each in shown)


def test_one_candidate_that_cannot_be_shortened_makes_its_whole_prompt_extractive() -> None:
    (*_, ncq) = play(HARD).round.of_kind("ncq")
    group_id, index = ncq.prompt.candidates[0].origin.split("#")
    failing = HARD.student[group_id.split("/")[1], "plain"][int(index)]
    assert failing is not None
    groups = play(replace(HARD, unshortenable=frozenset({failing}))).round.groups
    ways = {group.id: {each.compression for each in group.prompt.candidates} for group in groups}
    assert ways.pop(ncq.id) == {"extractive"}
    assert {"teacher"} in ways.values()


def test_every_original_is_shortened_with_a_seed_of_its_own() -> None:
    compressor = FirstWords("teacher")
    play(HARD, replace(collector_of(HARD), compressor=compressor))
    by_seed: dict[int, set[str]] = {}
    for original, seed in zip(compressor.originals, compressor.seeds, strict=True):
        by_seed.setdefault(seed, set()).add(original.text)
    assert by_seed
    assert all(len(texts) == 1 for texts in by_seed.values())


def test_candidates_of_which_nothing_is_left_are_not_shown() -> None:
    only = replace(HARD.profile, method="grpo_replay_ncq", augment_fraction=1.0)
    texts = (r"first \boxed{w1}", r"second \boxed{w2}", r"third \boxed{w3}", "fourth")
    student: dict[tuple[str, str], tuple[str | None, ...]] = dict.fromkeys(
        [("n0", "plain"), ("n0", "ncq")], texts
    )
    world = replace(HARD, profile=only, new=("n0",), buffer=(), student=student)
    poor = replace(
        collector_of(world),
        compressor=FirstWords("teacher", fails=texts[1].__eq__),
        extractive=FirstWords("extractive", fails=texts[1].__eq__),
    )
    (ncq,) = play(world, poor).round.of_kind("ncq")
    assert [each.origin[-2:] for each in ncq.prompt.candidates] == ["#0", "#2", "#3"]
    assert ncq.prompt.wrong_answers == ("w1", "w3")


def test_without_candidates_there_is_no_reformulated_prompt() -> None:
    mute = FirstWords("extractive", fails=lambda text: True)
    nothing = play(HARD, replace(collector_of(HARD), compressor=mute, extractive=mute))
    assert {group.prompt.kind for group in nothing.round.groups} == {"plain"}


@pytest.mark.parametrize(("name", "switches"), PRESETS.items())
def test_the_switches_of_a_preset_are_those_of_its_settings(name: str, switches: Switches) -> None:
    settings = CONFIGS[name].model_fields.keys()
    assert switches.replay == ("buffer_capacity" in settings)
    assert switches.teacher == ("teacher_group_size" in settings)
    assert (switches.bcq or switches.ncq) == ("augment_fraction" in settings)
