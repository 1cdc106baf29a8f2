from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zppo.core.answers import last_boxed
from zppo.errors import InputError
from zppo.pocket.task import ADDENDS, FACTORS, MODULUS, Chain, Operation, capacity, make_questions

SEEDS = st.integers(0, 2**31)
OPERATIONS = st.one_of(
    st.builds(Operation, st.just("+"), st.sampled_from(ADDENDS)),
    st.builds(Operation, st.just("*"), st.sampled_from(FACTORS)),
)
CHAINS = st.builds(
    Chain, st.integers(1, MODULUS - 1), st.lists(OPERATIONS, min_size=1, max_size=7).map(tuple)
)


def evaluated(question: str) -> int:
    """The answer, worked out from the question's text alone."""
    _, start, *operations, _, modulus = question.split()
    value = int(start)
    for operation in operations:
        operand = int(operation[1:])
        value = value + operand if operation[0] == "+" else value * operand
    return value % int(modulus)


@given(seed=SEEDS)
def test_the_answer_is_what_the_question_says(seed: int) -> None:
    for question in make_questions(20, (1, 3, 6), seed):
        assert evaluated(question.text) == int(question.answer)


@given(seed=SEEDS)
def test_the_reference_solution_boxes_the_answer(seed: int) -> None:
    for question in make_questions(20, (3, 4), seed):
        assert last_boxed(question.reference_solution) == question.answer


@given(chain=CHAINS)
def test_every_step_of_a_true_derivation_follows_from_the_one_before(chain: Chain) -> None:
    values = chain.derive().values
    expected = [operation.apply(value) for value, operation in zip(values, chain.operations, strict=False)]
    assert list(values[1:]) == expected
    assert all(0 <= after < MODULUS for _, after in pairwise(values))


@given(chain=CHAINS, value=st.integers(0, MODULUS - 1))
def test_a_derivation_goes_on_from_the_value_it_wrote(chain: Chain, value: int) -> None:
    seen = []
    chain.derive(lambda before, operation: seen.append(before) or value)
    assert seen == [chain.start, *[value] * (len(chain.operations) - 1)]


@given(chain=CHAINS)
def test_a_chain_can_be_read_from_its_text(chain: Chain) -> None:
    assert Chain.read(chain.text) == chain


@given(chain=CHAINS)
def test_the_first_steps_are_how_the_derivation_begins(chain: Chain) -> None:
    derivation = chain.derive()
    for count in range(len(chain.operations) + 1):
        words = derivation.first_steps(count).split()
        assert words == derivation.steps.split()[: 2 * count + 1]
        assert len(words) == 2 * count + 1


@given(chain=CHAINS.filter(lambda chain: len(chain.operations) > 1))
def test_a_hint_is_shorter_than_the_derivation_and_without_the_answer_where_it_can_be(chain: Chain) -> None:
    derivation = chain.derive()
    hints = [derivation.first_steps(count).split() for count in derivation.hint_lengths]
    assert all(3 <= len(hint) < len(derivation.steps.split()) for hint in hints)
    given_away = derivation.answer in derivation.first_steps(1).split()
    assert [derivation.answer in hint for hint in hints] == [given_away] * len(hints)
    assert not given_away or len(hints) == 1


@given(seed=SEEDS, offset=st.integers(0, 200))
def test_slices_of_a_stream_are_the_stream_and_share_no_question(seed: int, offset: int) -> None:
    stream = list(make_questions(300, (3, 4), seed))
    part = list(make_questions(300 - offset, (3, 4), seed, offset=offset))
    assert part == stream[offset:]
    assert len({question.text for question in stream}) == 300


def test_other_seeds_give_other_questions() -> None:
    first, second = (set(make_questions(50, (3, 4), seed)) for seed in (0, 1))
    assert len(first & second) < 5


def test_kinds_are_the_lengths_and_all_lengths_occur() -> None:
    questions = list(make_questions(100, (5, 6), 0))
    assert {question.kind for question in questions} == {"k=5", "k=6"}
    assert all(len(question.text.split()) == int(question.kind[2:]) + 4 for question in questions)


def test_about_half_of_the_operations_are_multiplications() -> None:
    text = " ".join(question.text for question in make_questions(500, (3, 4), 0))
    assert 0.45 < text.count("*") / (text.count("*") + text.count("+")) < 0.55


def test_the_whole_capacity_of_short_chains_can_be_served() -> None:
    assert len(set(make_questions(capacity((1,)), (1,), 0))) == capacity((1,)) == 81


@pytest.mark.parametrize(("count", "lengths"), [(82, (1,)), (10**7, (1, 2)), (1, ()), (1, (0, 3))])
def test_a_request_that_cannot_be_served_is_an_input_error(count: int, lengths: tuple[int, ...]) -> None:
    with pytest.raises(InputError):
        make_questions(count, lengths, 0)


def test_the_stream_of_a_seed_never_changes() -> None:
    first = next(make_questions(1, (3, 4), 0))
    assert (first.text, first.answer) == ("start 14 +2 +4 *5 +6 mod 19", "11")
