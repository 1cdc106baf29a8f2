"""From a finished run to its record: nothing is lost, and every figure is the run's own."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.buffer import ReplayBuffer
from schemas.rollout import Group, Prompt, Rollout, ServedResponses
from schemas.study import StudyRun
from tests.unit.study.conftest import Trained
from zppo.core.replay import after_round
from zppo.layout import RunPaths
from zppo.stages.checkpoints import read_state
from zppo.stages.train import read_base, read_reports
from zppo.stores.local import LocalStore
from zppo.stores.rounds import read_round, read_served
from zppo.study.collecting import collect_run, fates, used_tokens
from zppo.study.records import read_records
from zppo.teachers.pool import RESPONSES, PoolTable


@pytest.fixture(scope="module", params=["few.grpo.s0", "few.zppo.s0"])
def record(request: pytest.FixtureRequest, trained: Trained) -> StudyRun:
    return read_records(trained.plan, trained.home)[request.param]


def rounds_of(trained: Trained, record: StudyRun) -> list:
    paths = RunPaths(record.run)
    return [read_round(trained.home / paths.collect(point.round)) for point in record.rounds]


def test_a_curve_goes_from_the_base_over_the_checkpoints_to_the_last_round(record: StudyRun) -> None:
    assert [point.round for point in record.curve] == [0, 2, 3]
    first = record.curve[0]
    assert (first.student_rollouts, first.student_tokens, first.teacher_tokens, first.seconds) == (
        0,
        0,
        0,
        0.0,
    )
    costs = [(point.student_rollouts, point.student_tokens, point.seconds) for point in record.curve]
    assert costs == sorted(costs)
    assert all(point.out_of_distribution is not None for point in record.curve)


def test_accuracies_are_those_of_the_validations(trained: Trained, record: StudyRun) -> None:
    store, paths = LocalStore(trained.home), RunPaths(record.run)
    reports = [read_base(store, paths), *(report.validation for report in read_reports(store, paths))]
    validations = [report for report in reports if report is not None]
    assert [point.accuracy for point in record.curve] == [each.accuracy for each in validations]
    assert [point.out_of_distribution for point in record.curve] == [
        each.out_of_distribution for each in validations
    ]


def test_every_rollout_and_token_is_counted_once(trained: Trained, record: StudyRun) -> None:
    rollouts = [
        rollout
        for round_ in rounds_of(trained, record)
        for group in round_.groups
        for rollout in group.rollouts
    ]
    assert record.curve[-1].student_rollouts == len(rollouts)
    assert record.curve[-1].student_tokens == sum(len(rollout.token_ids) for rollout in rollouts)


def test_groups_are_counted_by_kind(trained: Trained, record: StudyRun) -> None:
    for point, round_ in zip(record.rounds, rounds_of(trained, record), strict=True):
        assert point.groups == Counter(group.prompt.kind for group in round_.groups)
        assert point.replayed == len(round_.replay_question_ids)


def test_teacher_tokens_are_those_of_the_pooled_responses_that_were_served(
    trained: Trained, record: StudyRun
) -> None:
    store = LocalStore(trained.home)
    served = read_state(store, RunPaths(record.run).checkpoint(3)).served
    (pool,) = store.committed("store/precompute")
    table = PoolTable(store.file(pool, RESPONSES))
    responses = [each for question, count in served.items() for each in table.responses(question)[:count]]
    assert record.curve[-1].teacher_tokens == sum(len(each.token_ids) for each in responses)
    assert (record.teacher_accuracy is None) == (record.method == "grpo")
    assert bool(responses) == (record.method == "zppo")


def test_every_admission_has_one_fate(trained: Trained, record: StudyRun) -> None:
    reports = read_reports(LocalStore(trained.home), RunPaths(record.run))
    events = Counter(event.event for report in reports for event in report.buffer.events)
    ends = [sum(getattr(fate, end) for fate in record.fates) for end in ("graduated", "evicted", "remaining")]
    assert sum(ends) == events["admit"]
    assert ends == [events["graduate"], events["evict"], reports[-1].buffer.size]
    assert bool(sum(ends)) == (record.method == "zppo")


def test_collecting_again_gives_the_same(trained: Trained, record: StudyRun) -> None:
    planned = next(run for run in trained.plan.runs if run.name == record.run)
    store = LocalStore(trained.home)
    (pool,) = store.committed("store/precompute")
    assert collect_run(store, planned, pool if record.method == "zppo" else "") == record


def test_what_a_round_asked_of_the_teacher_is_read_without_its_rollouts(
    trained: Trained, record: StudyRun
) -> None:
    for round_ in rounds_of(trained, record):
        file = trained.home / RunPaths(record.run).collect(round_.index) / "round.json"
        alone = [served.model_copy(update={"responses": ()}) for served in round_.teacher]
        assert list(read_served(file)) == alone


def plain_group(question: str, correct: int) -> Group:
    rollouts = tuple(
        Rollout(
            index=index,
            text="",
            token_ids=(1,),
            logprobs=(0.0,),
            stop="eos",
            outcome="correct" if index < correct else "wrong",
            answer=None,
            reward=1 if index < correct else 0,
        )
        for index in range(4)
    )
    prompt = Prompt(kind="plain", text="", token_ids=(1,))
    return Group(id=question, question_id=question, origin="new", prompt=prompt, rollouts=rollouts)


@given(
    st.lists(st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 4), max_size=4), max_size=12),
    st.integers(1, 3),
)
def test_fates_add_up_to_the_admissions_of_each_entry_accuracy(rounds, capacity: int) -> None:
    buffer, events = ReplayBuffer(), []
    for index, accuracies in enumerate(rounds, start=1):
        groups = [plain_group(question, correct) for question, correct in accuracies.items()]
        buffer, new = after_round(buffer, groups, 0.5, capacity, index)
        events += new
    found = fates(events, buffer)
    admitted = Counter(event.entry_accuracy for event in events if event.event == "admit")
    ended: Counter[float] = Counter()
    for fate in found:
        ended[fate.entry_accuracy] += fate.graduated + fate.evicted + fate.remaining
    assert ended == admitted
    assert sum(fate.remaining for fate in found) == len(buffer.entries)


def visit(question: str, served: int, online: int = 0) -> ServedResponses:
    return ServedResponses(question_id=question, served=served, drawn=0, correct=0, tokens=online)


def test_a_response_of_the_pool_is_paid_for_once_and_an_online_one_when_it_is_drawn() -> None:
    pool = {"a": [1, 2, 4, 8], "b": [16, 32]}
    rounds = [[visit("a", 2), visit("b", 1)], [], [visit("a", 1)], [visit("a", 1), visit("b", 1, 100)]]
    assert used_tokens(rounds, pool) == [1 + 2 + 16, 0, 4, 8 + 32 + 100]
