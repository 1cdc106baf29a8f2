"""Which rollouts of a round are compared, and by whom."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.config.method import GrpoReplay
from schemas.report import DriftReport
from schemas.rollout import Group, PromptKind, Round
from tests.build import group
from tests.fakes.learner import UnigramLearner
from zppo.core.drift import drift_report, together
from zppo.methods.gradient import mini_batches
from zppo.ports import MiniBatch, PolicyRow, StaleRolloutsError
from zppo.stages.drift import DRIFT_SAMPLE, Comparison, comparison

KINDS: tuple[PromptKind, ...] = ("plain", "bcq", "ncq")
rewards = st.lists(st.integers(0, 1), min_size=0, max_size=4)


@st.composite
def rounds(draw: st.DrawFn) -> Round:
    sizes = draw(st.lists(st.tuples(st.sampled_from(KINDS), rewards), min_size=1, max_size=20))
    groups = [group(each, f"q{place}", kind=kind) for place, (kind, each) in enumerate(sizes)]
    return round_of(groups)


def round_of(groups: list[Group]) -> Round:
    names = tuple(each.question_id for each in groups)
    return Round(index=1, new_question_ids=names, replay_question_ids=(), groups=tuple(groups))


def compared(round_: Round, iterations: int = 4, seed: int = 3) -> tuple[Comparison, list[MiniBatch]]:
    batches = mini_batches(round_, GrpoReplay(iterations=iterations), seed)
    return comparison(round_, batches, seed, limit=0.1), batches


def active(batch: MiniBatch) -> set[str]:
    return {row.rollout for row in batch.rows if isinstance(row, PolicyRow) and row.advantage}


def names(its: Comparison) -> list[str]:
    return [*its.check.rollouts, *(row.rollout for row, _ in its.others)]


@given(round_=rounds(), iterations=st.integers(1, 4))
def test_every_kind_is_compared_and_no_prompt_twice_while_another_is_left_out(
    round_: Round, iterations: int
) -> None:
    chosen = names(compared(round_, iterations)[0])
    valid = {each.id: each.prompt.kind for each in round_.groups if each.rollouts}
    prompts = [name.partition("#")[0] for name in chosen]
    assert len(chosen) == len(set(chosen)) <= DRIFT_SAMPLE
    assert {valid[prompt] for prompt in prompts} == set(valid.values())
    assert len(set(prompts)) == min(len(valid), DRIFT_SAMPLE)


@given(round_=rounds(), iterations=st.integers(1, 4))
def test_the_first_update_with_a_gradient_compares_what_it_computes_and_no_other_rollout(
    round_: Round, iterations: int
) -> None:
    its, batches = compared(round_, iterations)
    first = next(filter(None, map(active, batches)), set())
    assert its.check.rollouts <= first
    assert not first & {row.rollout for row, _ in its.others}
    spare = DRIFT_SAMPLE - len(names(its))
    assert spare == 0 or first <= its.check.rollouts


def test_a_round_without_a_spread_is_compared_all_the_same() -> None:
    its, batches = compared(round_of([group([1, 1], f"q{place}") for place in range(12)]))
    assert batches == []
    assert not its.check.rollouts
    assert len(its.others) == DRIFT_SAMPLE


def test_a_large_first_update_leaves_only_other_kinds_to_be_scored() -> None:
    groups = [group([0, 1], f"q{place}") for place in range(40)]
    its, _ = compared(round_of([*groups, group([1, 1], "b", kind="bcq")]))
    assert [row.rollout.partition("#")[0] for row, _ in its.others] == ["r1/b/bcq"]
    assert len(its.check.rollouts) == DRIFT_SAMPLE - 1


def test_the_choice_repeats_and_depends_on_the_seed() -> None:
    round_ = round_of([group([0, 1], f"q{place}") for place in range(40)])
    assert compared(round_)[0] == compared(round_)[0]
    assert compared(round_, seed=3)[0] != compared(round_, seed=4)[0]


def test_rollouts_scored_for_this_alone_are_held_to_the_limit() -> None:
    its, _ = compared(round_of([group([1, 1], f"q{place}") for place in range(3)]))
    learner = UnigramLearner(10)
    with pytest.raises(StaleRolloutsError) as caught:
        its.score_others(learner)
    (row, sampled), *_ = its.others
    assert caught.value.drift.max == pytest.approx(abs(learner.logprobs([row])[0][0] - sampled[0]))


def test_reports_of_parts_add_up_to_that_of_all_tokens() -> None:
    whole = drift_report([0.25, 0.5, 0.75, 0.0])
    assert together([drift_report([0.25, 0.5]), None, drift_report([0.75, 0.0])]) == whole
    assert whole == DriftReport(tokens=4, mean=0.375, max=0.75)
    assert together([None]) is drift_report([]) is None
