"""Rows of a mini-batch as the tensors that one forward pass takes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zppo.learners.packing import Pack, Sharing, inputs, pack
from zppo.ports import TrainingRow

_PADDING = -1
"""Segment of the tokens after a sequence's end; its prompt is segment 0, its responses 1, 2, …"""


@dataclass(frozen=True)
class MicroBatch:
    """Packs that go through the model together; T counts response tokens, row after row.

    Sequences are padded on the right. In a causal model, recurrent layers included, nothing after a token
    reaches it, so where no pack holds several rows the padding needs no mask, and every token keeps the
    position it was sampled at.
    """

    rows: tuple[TrainingRow, ...]
    """In the order of the packs."""
    places: tuple[int, ...]
    """Of the rows among those of the mini-batch."""
    input_ids_BL: Tensor
    """Prompts and responses, each response without its last token, which predicts nothing."""
    predictors_T: Tensor
    """Place in the flattened `[B * L]` of the token that predicts each response token."""
    targets_T: Tensor
    """The response tokens."""
    position_ids_BL: Tensor | None = None
    """As sampled; None where they count from 0 in every sequence."""
    mask_B1LL: Tensor | None = None
    """Whether a token (third place) sees another; None where it sees those before it."""

    @property
    def response_lengths(self) -> list[int]:
        """Tokens of each row's response."""
        return [len(row.response_ids) for row in self.rows]


def micro_batches(rows: Sequence[TrainingRow], max_tokens: int, sharing: Sharing | None) -> list[list[Pack]]:
    """The packs of each micro-batch: those that need a mask, or those that need none, of similar length.

    Args:
        rows: In any order, which has no influence on the micro-batches as long as rollouts have names
            of their own.
        max_tokens: Most tokens of a padded micro-batch; a longer pack has one of its own.
        sharing: Whether rows of one prompt share a sequence, and how long it may get.
    """
    return _grouped(sorted(pack(rows, sharing), key=_order), max_tokens)


def turns(
    rows: Sequence[TrainingRow], max_tokens: int, sharing: Sharing | None, processes: int
) -> list[tuple[list[Pack] | None, ...]]:
    """The micro-batches that `processes` compute side by side, turn by turn; None for one that has no more.

    Packs are dealt like cards in the order of their lengths, so that in every turn all processes have about
    the same to do, and none is idle while others have several packs.

    Args:
        rows: As in `micro_batches`, and the same for every process.
        max_tokens: As there, of each process's micro-batch.
        sharing: As there.
        processes: How many they are.
    """
    packs = sorted(pack(rows, sharing), key=_order)
    hands = [_grouped(packs[first::processes], max_tokens) for first in range(processes)]
    return list(zip_longest(*hands))


def _grouped(packs: Sequence[Pack], max_tokens: int) -> list[list[Pack]]:
    """Packs in ascending order as micro-batches."""
    batches: list[list[Pack]] = []
    for each in packs:
        # Lengths ascend, so this pack would set the padded length of its micro-batch.
        room = batches and (len(batches[-1]) + 1) * each.length <= max_tokens
        # A mask would take away the sliding window that a longer row of its own may need.
        if room and batches[-1][0].shared == each.shared:
            batches[-1].append(each)
        else:
            batches.append([each])
    return batches


def _order(pack: Pack) -> tuple[bool, int, str]:
    return pack.shared, pack.length, pack.rows[0].rollout


def collate(packs: Sequence[Pack], device: torch.device) -> MicroBatch:
    """Lay the packs out as tensors on `device`; prompts hold at least one token."""
    assert all(each.prompt_ids for each in packs), "the first response token needs one to predict it"
    width = max(each.length for each in packs)
    ids_BL, positions_BL = np.zeros((2, len(packs), width), dtype=np.int64)
    segments_BL = np.full((len(packs), width), _PADDING)
    predictors: list[NDArray[np.int64]] = []
    for line, each in enumerate(packs):
        ids_BL[line, : each.length] = _tokens(each)
        segments_BL[line, : each.length], positions_BL[line, : each.length] = _segments(each)
        predictors.extend(places + line * width for places in _predictors(each))
    rows = tuple(chain.from_iterable(each.rows for each in packs))
    shared = packs[0].shared
    return MicroBatch(
        rows=rows,
        places=tuple(chain.from_iterable(each.places for each in packs)),
        input_ids_BL=torch.from_numpy(ids_BL).to(device),
        predictors_T=torch.from_numpy(np.concatenate(predictors)).to(device),
        targets_T=torch.from_numpy(_flat(row.response_ids for row in rows)).to(device),
        position_ids_BL=torch.from_numpy(positions_BL).to(device) if shared else None,
        mask_B1LL=_mask(torch.from_numpy(segments_BL).to(device)) if shared else None,
    )


def _mask(segments_BL: Tensor) -> Tensor:
    """A token sees the prompt and its own response, up to itself; padding sees itself, so no row is empty."""
    queries_BL1, keys_B1L = segments_BL[:, :, None], segments_BL[:, None, :]
    before_LL = torch.ones(2 * segments_BL.shape[1:], dtype=torch.bool, device=segments_BL.device).tril()
    return (((queries_BL1 == keys_B1L) | (keys_B1L == 0)) & before_LL)[:, None]


def _tokens(pack: Pack) -> NDArray[np.int64]:
    return _flat([pack.prompt_ids, *(row.response_ids[: inputs(row)] for row in pack.rows)])


def _segments(pack: Pack) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Segment and position of every token of a pack."""
    prompt, responses = len(pack.prompt_ids), [inputs(row) for row in pack.rows]
    positions = [np.arange(prompt), *(prompt + np.arange(length) for length in responses)]
    return np.repeat(np.arange(len(positions)), [prompt, *responses]), np.concatenate(positions)


def _predictors(pack: Pack) -> list[NDArray[np.int64]]:
    """Of each row the places that predict its tokens: the prompt's last token, then the response's own."""
    prompt, start, places = len(pack.prompt_ids), len(pack.prompt_ids), []
    for row in pack.rows:
        own = np.arange(start, start + inputs(row))
        places.append(np.concatenate([[prompt - 1], own]) if row.response_ids else own)
        start += inputs(row)
    return places


def _flat(parts: Iterable[tuple[int, ...]]) -> NDArray[np.int64]:
    return np.fromiter(chain.from_iterable(parts), dtype=np.int64)
