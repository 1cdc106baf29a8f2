"""From the tokens that a micro-batch clipped to the places of each rollout."""

from collections.abc import Iterator
from itertools import pairwise
from typing import get_args

import numpy as np
from torch import Tensor

from schemas.clipping import Bound, ClippedTokens
from zppo.learners.batching import MicroBatch

_BOUNDS: tuple[Bound, ...] = get_args(Bound)


def clipped_tokens(clipped_3T: Tensor, micro_batch: MicroBatch) -> Iterator[tuple[int, ClippedTokens]]:
    """The rollouts with clipped tokens, each bound for itself, with the row's place in the mini-batch.

    The work is in proportion to these rollouts: their tokens are told apart by one search.

    Args:
        clipped_3T: Whether each token is clipped low, high and dual.
        micro_batch: The rows, whose tokens follow one another.
    """
    bounds, tokens = clipped_3T.nonzero().T.cpu().numpy()  # by bound, then by token
    ends = np.cumsum(micro_batch.response_lengths)
    rows = np.searchsorted(ends, tokens, side="right")
    places = tokens - (ends - micro_batch.response_lengths)[rows]
    begins = np.flatnonzero(np.diff(bounds * len(ends) + rows, prepend=-1))
    for start, stop in pairwise([*begins.tolist(), len(tokens)]):
        row = int(rows[start])
        yield (
            micro_batch.places[row],
            ClippedTokens(
                rollout=micro_batch.rows[row].rollout,
                bound=_BOUNDS[int(bounds[start])],
                places=tuple(places[start:stop].tolist()),
            ),
        )
