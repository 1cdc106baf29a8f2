from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from schemas.buffer import ReplayBuffer
from tests.build import buffer, entry, group
from zppo.core.randomness import generator
from zppo.core.replay import after_round, draw

HARD, EASY = [0] * 8, [1] * 8
names = st.integers(0, 15).map("q{}".format)


@given(st.lists(names, unique=True), st.integers(0, 20), st.sets(names), st.integers(0, 2**32))
def test_replay_draws_distinct_buffered_questions_that_are_not_new(
    buffered: list[str], count: int, new: set[str], seed: int
) -> None:
    drawn = draw(buffer(*buffered), count, new, generator(seed))
    eligible = set(buffered) - new
    assert len(drawn) == len(set(drawn)) == min(count, len(eligible))
    assert set(drawn) <= eligible


def test_replay_is_uniform_over_the_buffer() -> None:
    trials = 4_000
    counts = Counter(
        name for trial in range(trials) for name in draw(buffer(*"abcde"), 2, set(), generator(trial))
    )
    five_sigma = 5 * (trials * 0.4 * 0.6) ** 0.5
    assert all(abs(counts[name] - trials * 0.4) < five_sigma for name in "abcde")


def test_a_hard_question_is_admitted_at_the_end() -> None:
    after, events = after_round(buffer("old"), [group([0, 0, 0, 1], "new")], 0.5, 10, 3)
    assert after.entries == (entry("old"), entry("new", 0.25, admitted=3))
    assert [(each.event, each.question_id, each.accuracy) for each in events] == [("admit", "new", 0.25)]


def test_a_question_that_is_not_hard_is_not_admitted() -> None:
    after, events = after_round(buffer(), [group([0, 1], "new")], 0.5, 10, 1)
    assert (after, events) == (ReplayBuffer(), ())


def test_a_replayed_question_that_stays_hard_keeps_its_place_and_its_entry_accuracy() -> None:
    before = ReplayBuffer(entries=(entry("a", 0.25, 1, 2), entry("b", 0.0, 2, 1)))
    after, events = after_round(before, [group(HARD, "a", replayed=True)], 0.5, 10, 5)
    assert after.entries == (entry("a", 0.25, 1, 3), entry("b", 0.0, 2, 1))
    assert events == ()


def test_a_buffered_question_graduates_at_the_threshold() -> None:
    before = ReplayBuffer(entries=(entry("a", 0.125, 2, 3),))
    after, (event,) = after_round(before, [group([0, 1], "a", replayed=True)], 0.5, 10, 7)
    assert after.entries == ()
    assert (event.event, event.entry_accuracy, event.accuracy) == ("graduate", 0.125, 0.5)
    assert (event.visits, event.admitted_round) == (4, 2)


def test_a_buffered_question_that_comes_as_a_new_one_may_graduate_too() -> None:
    after, (event,) = after_round(buffer("a"), [group(EASY, "a")], 0.5, 10, 7)
    assert after.entries == ()
    assert event.event == "graduate"


def test_a_group_without_a_valid_rollout_changes_nothing() -> None:
    before = buffer("a")
    plain = [group([], "a", replayed=True, failures=8), group([], "b", failures=8)]
    assert after_round(before, plain, 0.5, 10, 2) == (before, ())


def test_a_full_buffer_evicts_its_oldest_for_the_newest() -> None:
    plain = [group(HARD, "c"), group(HARD, "d")]
    after, events = after_round(buffer("a", "b"), plain, 0.5, 3, 2)
    assert [each.question_id for each in after.entries] == ["b", "c", "d"]
    assert [(each.event, each.question_id) for each in events] == [
        ("admit", "c"),
        ("admit", "d"),
        ("evict", "a"),
    ]
    assert events[-1].accuracy is None


def test_graduations_make_room_before_anything_is_evicted() -> None:
    plain = [group(HARD, "c"), group(EASY, "a", replayed=True)]
    after, events = after_round(buffer("a", "b"), plain, 0.5, 2, 2)
    assert [each.question_id for each in after.entries] == ["b", "c"]
    assert "evict" not in {each.event for each in events}


rounds = st.lists(
    st.dictionaries(names, st.lists(st.integers(0, 1), max_size=4), max_size=6), min_size=1, max_size=6
)


@given(rounds, st.integers(1, 6))
def test_the_buffer_is_a_fifo_of_distinct_questions_within_its_capacity(
    played: list[dict[str, list[int]]], capacity: int
) -> None:
    state = ReplayBuffer()
    for index, questions in enumerate(played, start=1):
        plain = [group(rewards, name) for name, rewards in questions.items()]
        before, (state, events) = state, after_round(state, plain, 0.5, capacity, index)
        inside = [each.question_id for each in state.entries]
        assert len(inside) == len(set(inside)) <= capacity
        assert [each.admitted_round for each in state.entries] == sorted(
            each.admitted_round for each in state.entries
        )
        delta = Counter({"admit": 1, "graduate": -1, "evict": -1})
        assert len(inside) == len(before.entries) + sum(delta[each.event] for each in events)
        stayed = [each.question_id for each in before.entries if each.question_id in inside]
        assert inside[: len(stayed)] == stayed
