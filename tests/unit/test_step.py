from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.config.models import DecodingConfig
from schemas.question import Question
from schemas.rollout import Compression
from tests.fakes.compressor import FirstWords
from tests.fakes.engine import ScriptedEngine
from tests.fakes.grader import TextGrader
from tests.fakes.learner import UnigramLearner
from tests.fakes.teacher import ScriptedTeacher
from tests.reference.product import (
    GENERAL,
    VOCABULARY,
    collector_of,
    method_of,
    play,
    questions_of,
    scripted_engine,
    state_of,
)
from tests.reference.world import METHODS, NAMED, Profile, World, make_world
from zppo import step
from zppo.ports import (
    Generation,
    GenerationFailure,
    GenerationRequest,
    Grade,
    Grader,
    Original,
    Teacher,
    TeacherAnswer,
    Visit,
)

WORDS = ["so", "then", "hence", "after", "v1", "v2", "v3"]
worlds = st.builds(
    Profile, seed=st.integers(0, 10**6), errors=st.sampled_from([0.0, 0.2]), skill=st.sampled_from([0.1, 0.4])
).map(make_world)
few = settings(max_examples=30)
HARD = make_world(replace(NAMED["every question hard"], teacher_skill=1.0))


class SeededEngine:
    """A student whose response is a function of its seed; token ids are fixed beforehand."""

    def __init__(self) -> None:
        self._words = ScriptedEngine(lambda seed, _: self._text(int(seed)))
        answers = [rf"\boxed{{{answer}}}" for answer in ("Gold", "w1", "w2", "w3")]
        self._words.encode(" ".join([*WORDS, *answers]))
        self._answers = answers

    def encode(self, text: str) -> tuple[int, ...]:
        return tuple(map(ord, text))

    def count_tokens(self, text: str) -> int:
        return len(text)

    def generate(
        self, requests: Sequence[GenerationRequest], decoding: DecodingConfig
    ) -> list[tuple[Generation | GenerationFailure, ...]]:
        return [
            tuple(
                self._words.generate([GenerationRequest(str(seed), (1,), (seed,))], decoding)[0][0]
                for seed in request.seeds
            )
            for request in requests
        ]

    def _text(self, seed: int) -> str:
        random = Random(seed)
        return " ".join([*random.choices(WORDS, k=4), random.choice(self._answers)])


@dataclass
class Backwards:
    """Every port at once, each asked for one thing at a time, the last first."""

    inner: step.Collector
    kind: Compression = field(default="teacher")

    def encode(self, text: str) -> tuple[int, ...]:
        return self.inner.engine.encode(text)

    def count_tokens(self, text: str) -> int:
        return self.inner.engine.count_tokens(text)

    def generate(
        self, requests: Sequence[GenerationRequest], decoding: DecodingConfig
    ) -> list[tuple[Generation | GenerationFailure, ...]]:
        return [self.inner.engine.generate([each], decoding)[0] for each in requests[::-1]][::-1]

    def grade(self, responses: Sequence[tuple[Question, str]]) -> list[Grade]:
        return [self.inner.grader.grade([each])[0] for each in responses[::-1]][::-1]

    def respond(self, visits: Sequence[Visit]) -> list[TeacherAnswer]:
        assert self.inner.teacher is not None
        return [self.inner.teacher.respond([each])[0] for each in visits[::-1]][::-1]

    def compress(self, originals: Sequence[Original], seeds: Sequence[int]) -> list[str | None]:
        pairs = list(zip(originals, seeds, strict=True))[::-1]
        return [self.inner.compressor.compress([original], [seed])[0] for original, seed in pairs][::-1]


def seeded(world: World, seed: int = 5) -> step.Collector:
    return replace(collector_of(world, seed), engine=SeededEngine())


@few
@given(worlds)
def test_the_step_is_a_function_of_its_inputs(world: World) -> None:
    first, second = play(world, seeded(world)), play(world, seeded(world))
    assert first.round == second.round
    assert first.learner.batches == second.learner.batches
    assert first.state == second.state


@few
@given(worlds)
def test_the_step_does_not_depend_on_the_order_in_which_ports_are_asked(world: World) -> None:
    forwards = seeded(world)
    ports = Backwards(forwards)
    backwards = replace(forwards, engine=ports, grader=ports, teacher=ports, compressor=ports)
    assert play(world, backwards).round == play(world, forwards).round


def test_another_run_seed_gives_another_round() -> None:
    assert play(HARD, seeded(HARD, 5)).round != play(HARD, seeded(HARD, 6)).round


@few
@given(worlds)
def test_every_token_that_carries_gradient_was_sampled_by_the_student_from_the_prompt_beside_it(
    world: World,
) -> None:
    taught = {name: tuple(f"TEACHER {text}" for text in texts) for name, texts in world.teacher.items()}
    world = replace(world, teacher=taught)
    engine = scripted_engine(world)
    played = play(world, replace(collector_of(world), engine=engine))
    prompts = {request.id: request.prompt_ids for request in engine.requests}
    for batch in played.learner.batches:
        for row in batch.rows:
            group_id, index = row.rollout.split("#")
            _, question, kind = group_id.split("/")
            said = world.student[question, kind][int(index)]
            assert said is not None
            assert said.startswith(engine.decode(row.response_ids))
            assert "TEACHER" not in engine.decode(row.response_ids)
            assert row.prompt_ids == prompts[group_id]
            assert len(row.old_logprobs) == len(row.response_ids)
    for group in played.round.groups:
        assert group.prompt.text.count("TEACHER") == (1 if group.prompt.kind == "bcq" else 0)


@few
@given(worlds)
def test_an_update_uses_every_valid_rollout_once_and_whole_groups(world: World) -> None:
    played = play(world)
    if not played.learner.batches:
        return
    names = [[row.rollout for row in batch.rows] for batch in played.learner.batches]
    valid = [f"{group.id}#{each.index}" for group in played.round.groups for each in group.rollouts]
    assert Counter(name for batch in names for name in batch) == Counter(valid)
    places = [{name.split("#")[0] for name in batch} for batch in names]
    assert sum(map(len, places)) == len(set().union(*places))


@few
@given(worlds)
def test_advantages_of_every_group_sum_to_zero_whatever_its_kind(world: World) -> None:
    sums: Counter[str] = Counter()
    for batch in play(world).learner.batches:
        for row in batch.rows:
            sums[row.rollout.split("#")[0]] += row.advantage  # type: ignore[assignment]
    assert all(total == pytest.approx(0.0, abs=1e-9) for total in sums.values())


@few
@given(worlds)
def test_every_prompt_of_a_round_ends_with_the_closing_instruction(world: World) -> None:
    for group in play(world).round.groups:
        assert group.prompt.text.endswith(GENERAL.closing)


@few
@given(worlds)
def test_all_candidates_of_a_prompt_are_shortened_in_one_way(world: World) -> None:
    for group in play(world).round.groups:
        shown = group.prompt.candidates
        assert len({each.compression for each in shown}) <= 1
        assert all(each.text.startswith(each.compression) for each in shown)


def test_one_candidate_that_cannot_be_shortened_makes_its_whole_prompt_extractive() -> None:
    (failing, *_) = HARD.student["n0", "plain"]
    assert failing is not None
    groups = play(replace(HARD, unshortenable=frozenset({failing}))).round.groups
    ways = {group.id: {each.compression for each in group.prompt.candidates} for group in groups}
    assert ways.pop("r9/n0/ncq", {"extractive"}) == {"extractive"}
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


@pytest.mark.parametrize("method", METHODS)
def test_a_method_asks_the_teacher_about_hard_questions_only_and_only_where_it_shows_responses(
    method: str,
) -> None:
    world = make_world(Profile(method=method, errors=0.0, skill=0.5, new=12))
    teacher = ScriptedTeacher(lambda name, index: world.teacher[name][index])
    played = play(world, replace(collector_of(world), teacher=teacher))
    visited = [visit.question.id for visit in teacher.visits]
    if method in ("zppo", "grpo_both", "grpo_replay_bcq"):
        hard = {
            group.question_id: group.accuracy
            for group in played.round.of_kind("plain")
            if group.accuracy is not None and group.accuracy < 0.5
        }
        assert sorted(visited) == sorted(hard)
        assert [hard[name] for name in visited] == sorted(hard.values())
        assert [visit.question_id for visit in played.round.teacher] == visited
    else:
        assert visited == []
        assert played.round.teacher == ()


@pytest.mark.parametrize(
    ("method", "kinds"),
    [
        ("grpo", {"plain"}),
        ("grpo_replay", {"plain"}),
        ("grpo_both", {"plain", "bcq", "ncq"}),
        ("grpo_replay_bcq", {"plain", "bcq"}),
        ("grpo_replay_ncq", {"plain", "ncq"}),
        ("zppo", {"plain", "bcq", "ncq"}),
    ],
)
def test_each_method_has_its_kinds_of_prompts_and_its_buffer(method: str, kinds: set[str]) -> None:
    world = make_world(replace(NAMED["every question hard"], method=method, teacher_skill=1.0))
    played = play(world)
    assert {group.prompt.kind for group in played.round.groups} == kinds
    replays = "replay" in method or method == "zppo"
    assert bool(played.round.replay_question_ids) == replays
    assert bool(played.events) == replays


def test_a_method_without_a_teacher_needs_none() -> None:
    world = replace(HARD, profile=replace(HARD.profile, method="grpo_replay_ncq"))
    assert play(world, replace(collector_of(world), teacher=None)).round.of_kind("ncq")


def test_success_on_reformulated_prompts_never_graduates_a_question() -> None:
    right = tuple(r"so \boxed{Gold}" for _ in range(4))
    student = {key: right if key[1] != "plain" else texts for key, texts in HARD.student.items()}
    played = play(replace(HARD, student=student))
    assert any(group.accuracy == 1.0 for group in played.round.groups)
    assert "graduate" not in {each.event for each in played.events}


def test_a_round_without_a_valid_rollout_changes_nothing() -> None:
    world = make_world(NAMED["no valid rollout"])
    before, played = state_of(world), play(world)
    assert played.state.buffer == before.buffer
    assert played.state.served == before.served
    assert (played.events, played.learner.batches) == ((), [])
    assert all(group.failures for group in played.round.groups)
    assert {group.prompt.kind for group in played.round.groups} == {"plain"}


def test_without_a_spread_in_any_group_there_is_no_update() -> None:
    played = play(make_world(NAMED["no hard question"]))
    assert played.updated == step.Updated((), ())
    assert played.learner.batches == []


def test_seeds_of_rollouts_differ_between_rounds_questions_kinds_and_indices() -> None:
    seeds = []
    for round_index in (9, 10):
        engine = scripted_engine(HARD)
        play(replace(HARD, round=round_index), replace(collector_of(HARD), engine=engine))
        seeds += [seed for request in engine.requests for seed in request.seeds]
        assert {request.id.rpartition("/")[2] for request in engine.requests} == {"plain", "bcq", "ncq"}
    assert len(seeds) == len(set(seeds))


def test_seeds_of_the_teacher_differ_between_rounds_and_questions() -> None:
    teacher = ScriptedTeacher(lambda name, index: HARD.teacher[name][index], pool=2)
    for round_index in (9, 10):
        play(replace(HARD, round=round_index), replace(collector_of(HARD), teacher=teacher))
    seeds = [visit.seed for visit in teacher.visits]
    assert len(seeds) == len(set(seeds)) > len(HARD.new)


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


def test_over_many_rounds_no_question_is_twice_in_a_round_and_no_teacher_response_is_served_twice() -> None:
    world = make_world(
        Profile(method="zppo", new=12, buffered=0, capacity=5, skill=0.2, errors=0.0, teacher_pool=1000)
    )
    teacher = Recorder(ScriptedTeacher(lambda name, index: rf"step v{index} \boxed{{Gold}}"))
    collector = replace(seeded(world), teacher=teacher)
    questions, method, state = (
        questions_of(world),
        method_of(world),
        state_of(replace(world, served={}, round=1)),
    )
    group_ids: list[str] = []
    for index in range(1, 13):
        new = [questions[f"n{(index * 4 + place) % 12}"] for place in range(4)]
        waiting = {each.question_id for each in state.buffer.entries}
        round_ = step.collect(index, new, state, method, collector)
        assert set(round_.replay_question_ids) <= waiting - {each.id for each in new}
        plain = [group.question_id for group in round_.of_kind("plain")]
        assert len(plain) == len(set(plain))
        assert len(round_.of_kind("bcq")) + len(round_.of_kind("ncq")) <= 2
        group_ids += [group.id for group in round_.groups]
        step.update(round_, method, 5, UnigramLearner(VOCABULARY))
        state, _ = step.advance(state, round_, method)
        assert len(state.buffer.entries) <= 5
    assert len(group_ids) == len(set(group_ids))
    assert any(len(origins) > 2 for origins in teacher.origins.values())
    for name, origins in teacher.origins.items():
        assert len(origins) == len(set(origins)) == state.served[name]


def test_a_lazy_grader_is_caught() -> None:
    class Lazy:
        def grade(self, responses: Sequence[tuple[Question, str]]) -> list[Grade]:
            return TextGrader().grade(responses)[:-1]

    lazy: Grader = Lazy()
    with pytest.raises(AssertionError, match="one grade a response"):
        play(HARD, replace(collector_of(HARD), grader=lazy))
