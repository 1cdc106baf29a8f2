"""Micro-batches of rows, alone or packed."""

import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.learning import group_rows
from zppo.learners.batching import collate, micro_batches, turns
from zppo.learners.packing import Pack, Sharing
from zppo.ports import PolicyRow

CPU = torch.device("cpu")
row_lists = st.builds(group_rows, st.integers(1, 8), st.integers(0, 1000))
sharings = st.none() | st.builds(Sharing, st.floats(0, 1000), st.integers(1, 100))


@given(row_lists, st.integers(1, 120), sharings)
def test_every_row_stands_in_one_micro_batch_within_the_limit_or_alone(
    rows: list[PolicyRow], max_tokens: int, sharing: Sharing | None
) -> None:
    batches = micro_batches(rows, max_tokens, sharing)
    assert sorted(place for batch in batches for pack in batch for place in pack.places) == [
        *range(len(rows))
    ]
    assert all([rows[place] for place in pack.places] == [*pack.rows] for batch in batches for pack in batch)
    for batch in batches:
        assert collate(batch, CPU).input_ids_BL.numel() <= max_tokens or len(batch) == 1


@given(row_lists, st.integers(1, 120), sharings, st.integers(1, 9))
def test_every_row_is_dealt_to_one_process_and_nobody_waits_for_another_that_has_several_packs(
    rows: list[PolicyRow], max_tokens: int, sharing: Sharing | None, processes: int
) -> None:
    dealt = turns(rows, max_tokens, sharing, processes)
    assert all(len(turn) == processes for turn in dealt)
    batches = [batch for turn in dealt for batch in turn if batch is not None]
    assert sorted(place for batch in batches for pack in batch for place in pack.places) == [
        *range(len(rows))
    ]
    assert all(collate(batch, CPU).input_ids_BL.numel() <= max_tokens or len(batch) == 1 for batch in batches)
    hands = [[pack for turn in dealt for pack in turn[process] or ()] for process in range(processes)]
    assert max(map(len, hands)) - min(map(len, hands)) <= 1


@given(row_lists, st.integers(1, 120), sharings)
def test_turns_of_one_process_are_the_micro_batches(
    rows: list[PolicyRow], max_tokens: int, sharing: Sharing | None
) -> None:
    dealt = turns(rows, max_tokens, sharing, 1)
    assert [turn[0] for turn in dealt] == micro_batches(rows, max_tokens, sharing)


@given(row_lists, sharings, st.randoms(use_true_random=False))
def test_micro_batches_do_not_depend_on_the_order_of_rows(
    rows: list[PolicyRow], sharing: Sharing | None, shuffler: random.Random
) -> None:
    shuffled = list(rows)
    shuffler.shuffle(shuffled)

    def in_packs(rows: list[PolicyRow]) -> list[list[tuple[PolicyRow, ...]]]:
        return [[pack.rows for pack in batch] for batch in micro_batches(rows, 60, sharing)]

    assert in_packs(rows) == in_packs(shuffled)


@given(row_lists, sharings)
def test_only_rows_of_one_prompt_share_a_pack_and_no_longer_than_allowed(
    rows: list[PolicyRow], sharing: Sharing | None
) -> None:
    for batch in micro_batches(rows, 60, sharing):
        assert len({pack.shared for pack in batch}) == 1
        for pack in batch:
            assert len({row.prompt_ids for row in pack.rows}) == 1
            assert not pack.shared or (sharing is not None and pack.length <= sharing.longest)


@given(row_lists, st.floats(0, 1000))
def test_packs_never_cost_more_arithmetic_than_rows_alone(rows: list[PolicyRow], reach: float) -> None:
    def cost(pack: Pack) -> float:
        return pack.length * (reach + pack.length / (1 if pack.shared else 2))

    packed, alone = (
        sum(cost(pack) for batch in micro_batches(rows, 100, sharing) for pack in batch)
        for sharing in (Sharing(reach, 100), None)
    )
    assert packed <= alone * (1 + 1e-9)


def test_a_long_prompt_is_shared_and_long_responses_are_not() -> None:
    def packs(prompt: int, response: int) -> int:
        rows = [PolicyRow(f"q#{i}", (3,) * prompt, (4,) * response, (0.0,) * response, 1.0) for i in range(8)]
        return sum(map(len, micro_batches(rows, 10**6, Sharing(reach=3000.0, longest=10**6))))

    assert packs(prompt=500, response=100) == 1
    assert packs(prompt=100, response=8000) == 8


@given(row_lists, sharings)
def test_predictors_stand_just_before_their_targets(rows: list[PolicyRow], sharing: Sharing | None) -> None:
    for packs in micro_batches(rows, 80, sharing):
        batch = collate(packs, CPU)
        ids, place = batch.input_ids_BL.flatten().tolist(), 0
        for row in batch.rows:
            for offset, target in enumerate(row.response_ids):
                assert batch.targets_T[place] == target
                before = (row.prompt_ids + row.response_ids)[len(row.prompt_ids) + offset - 1]
                assert ids[batch.predictors_T[place]] == before
                place += 1
        assert place == len(batch.targets_T) == sum(batch.response_lengths)


@given(row_lists)
def test_a_token_sees_its_prompt_and_its_own_response_at_the_positions_sampled(rows: list[PolicyRow]) -> None:
    for packs in micro_batches(rows, 100, Sharing(reach=1e6, longest=100)):
        batch = collate(packs, CPU)
        if batch.mask_B1LL is None or batch.position_ids_BL is None:
            assert all(len(pack.rows) == 1 for pack in packs)
            continue
        width, place = batch.input_ids_BL.shape[1], 0
        for row in batch.rows:
            tokens = row.prompt_ids + row.response_ids
            for offset in range(len(row.response_ids)):
                line, column = divmod(int(batch.predictors_T[place]), width)
                seen = batch.mask_B1LL[line, 0, column]
                before = len(row.prompt_ids) + offset
                assert batch.input_ids_BL[line][seen].tolist() == list(tokens[:before])
                assert batch.position_ids_BL[line][seen].tolist() == list(range(before))
                place += 1


def test_an_empty_prompt_is_refused() -> None:
    row = PolicyRow("q#0", (), (3,), (-1.0,), 1.0)
    with pytest.raises(AssertionError, match="predict"):
        collate([Pack((0,), (row,))], CPU)
