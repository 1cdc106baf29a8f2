"""Rows of a mini-batch as the tensors that one forward pass takes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zppo.ports import TrainingRow


@dataclass(frozen=True)
class MicroBatch:
    """Rows that go through the model together; T counts response tokens, row after row.

    Rows are padded on the right. In a causal model, recurrent layers included, nothing after a token
    reaches it, so the padding needs no mask and every token keeps the position it was sampled at.
    """

    input_ids_BL: Tensor
    """Prompt and response without its last token, which predicts nothing."""
    predictors_T: Tensor
    """Place in the flattened `[B * L]` of the token that predicts each response token."""
    targets_T: Tensor
    """The response tokens."""
    response_lengths: tuple[int, ...]


def split_by_length(rows: Sequence[TrainingRow], max_tokens: int) -> list[list[int]]:
    """Places of the rows of each micro-batch, rows of similar length together.

    Args:
        rows: In any order, which has no influence on the micro-batches as long as rollouts have names
            of their own.
        max_tokens: Most tokens of a padded micro-batch; a longer row has one of its own.
    """
    places = sorted(range(len(rows)), key=lambda place: (_length(rows[place]), rows[place].rollout))
    batches: list[list[int]] = []
    for place in places:
        # Lengths ascend, so this row would set the padded length of its micro-batch.
        if batches and (len(batches[-1]) + 1) * _length(rows[place]) <= max_tokens:
            batches[-1].append(place)
        else:
            batches.append([place])
    return batches


def collate(rows: Sequence[TrainingRow], device: torch.device) -> MicroBatch:
    """Lay the rows out as tensors on `device`; prompts hold at least one token."""
    prompts_B = np.array([len(row.prompt_ids) for row in rows])
    responses_B = np.array([len(row.response_ids) for row in rows])
    assert prompts_B.min() > 0, "the first response token needs a prompt token to predict it"
    columns_L = np.arange((prompts_B + responses_B).max())
    ids_BL = np.zeros((len(rows), len(columns_L)), dtype=np.int64)
    ends_B = prompts_B + responses_B
    ids_BL[columns_L < ends_B[:, None]] = _flat(
        chain.from_iterable((r.prompt_ids, r.response_ids) for r in rows)
    )
    predicts_BL = (columns_L >= prompts_B[:, None] - 1) & (columns_L < ends_B[:, None] - 1)

    def move(array: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(array).to(device)

    return MicroBatch(
        input_ids_BL=move(ids_BL[:, :-1]),
        predictors_T=move(np.flatnonzero(predicts_BL[:, :-1])),
        targets_T=move(_flat(row.response_ids for row in rows)),
        response_lengths=tuple(responses_B.tolist()),
    )


def _length(row: TrainingRow) -> int:
    return len(row.prompt_ids) + len(row.response_ids)


def _flat(parts: Iterable[tuple[int, ...]]) -> NDArray[np.int64]:
    return np.fromiter(chain.from_iterable(parts), dtype=np.int64)
