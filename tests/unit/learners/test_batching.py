"""Micro-batches of rows."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.learning import random_rows
from zppo.learners.batching import collate, split_by_length
from zppo.ports import TrainingRow

CPU = torch.device("cpu")
row_lists = st.builds(random_rows, st.integers(1, 20), st.integers(0, 1000))


def length(row: TrainingRow) -> int:
    return len(row.prompt_ids) + len(row.response_ids)


@given(row_lists, st.integers(1, 120))
def test_every_row_stands_in_one_micro_batch_within_the_limit_or_alone(
    rows: list[TrainingRow], max_tokens: int
) -> None:
    batches = split_by_length(rows, max_tokens)
    assert sorted(place for batch in batches for place in batch) == list(range(len(rows)))
    for batch in batches:
        padded = len(batch) * max(length(rows[place]) for place in batch)
        assert padded <= max_tokens or len(batch) == 1


@given(row_lists, st.randoms(use_true_random=False))
def test_micro_batches_do_not_depend_on_the_order_of_rows(rows: list[TrainingRow], random: object) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    names = [[rows[place].rollout for place in batch] for batch in split_by_length(rows, 60)]
    assert names == [[shuffled[place].rollout for place in batch] for batch in split_by_length(shuffled, 60)]


@given(row_lists)
def test_predictors_stand_just_before_their_targets(rows: list[TrainingRow]) -> None:
    batch = collate(rows, CPU)
    place = 0
    width = batch.input_ids_BL.shape[1]
    for line, row in enumerate(rows):
        tokens = row.prompt_ids + row.response_ids
        assert batch.input_ids_BL[line, : len(tokens) - 1].tolist() == list(tokens[:-1])
        for offset, target in enumerate(row.response_ids):
            assert batch.predictors_T[place] == line * width + len(row.prompt_ids) + offset - 1
            assert batch.targets_T[place] == target
            place += 1
    assert place == len(batch.targets_T) == sum(batch.response_lengths)
