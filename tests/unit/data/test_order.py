import pytest
from hypothesis import given
from hypothesis import strategies as st

from zppo.data.order import permuted, round_positions, sample_positions
from zppo.errors import InputError

sizes = st.integers(1, 300)
seeds = st.integers(0, 2**63 - 1)


@given(sizes, st.binary(min_size=8, max_size=8))
def test_the_permutation_takes_every_position_once(size: int, key: bytes) -> None:
    assert sorted(permuted(position, size, key) for position in range(size)) == list(range(size))


@given(st.data(), sizes, seeds)
def test_an_epoch_takes_no_question_twice_and_drops_less_than_a_round(
    data: st.DataObject, size: int, seed: int
) -> None:
    per_round = data.draw(st.integers(1, size))
    epoch = data.draw(st.integers(0, 3))
    rounds = size // per_round
    taken = [
        position
        for index in range(rounds)
        for position in round_positions(epoch * rounds + index + 1, size, per_round, seed)
    ]
    assert len(set(taken)) == len(taken) > size - per_round
    assert set(taken) <= set(range(size))


def test_each_epoch_and_each_seed_has_its_own_order() -> None:
    orders = {tuple(round_positions(index, 50, 50, seed)) for index in (1, 2, 3) for seed in (0, 1)}
    assert len(orders) == 6


def test_positions_are_uniform_over_the_split() -> None:
    counts = [0] * 10
    for seed in range(500):
        for position in round_positions(1, 10, 3, seed):
            counts[position] += 1
    assert all(100 < count < 200 for count in counts)  # 150 expected, standard deviation 10


@given(st.integers(0, 50), sizes, seeds)
def test_a_sample_has_as_many_different_positions_as_there_are(count: int, size: int, seed: int) -> None:
    positions = sample_positions(count, size, seed)
    assert len(set(positions)) == len(positions) == min(count, size)
    assert set(positions) <= set(range(size))


def test_a_sample_draws_from_the_whole_split() -> None:
    assert max(sample_positions(20, 1000, 0)) > 500


def test_a_round_of_ten_million_questions_reads_no_more_than_the_round() -> None:
    positions = round_positions(7, 10_000_000, 384, 3)
    assert len(set(positions)) == 384
    assert positions == round_positions(7, 10_000_000, 384, 3)


def test_a_split_that_fills_no_round_is_an_error_that_names_both_sizes() -> None:
    with pytest.raises(InputError, match=r"5 questions.*questions_per_round = 6"):
        round_positions(1, 5, 6, 0)
