"""From the tokens that an update clipped to the places of each rollout."""

from collections.abc import Sequence
from itertools import pairwise
from typing import get_args

import numpy as np
from torch import Tensor

from schemas.clipping import Bound, ClippedTokens
from zppo.ports import TrainingRow

_BOUNDS: tuple[Bound, ...] = get_args(Bound)


def clipped_tokens(clipped_3T: Tensor, rows: Sequence[TrainingRow]) -> tuple[ClippedTokens, ...]:
    """The rollouts with clipped tokens, each bound for itself, in the order of the rows.

    The work is in proportion to these rollouts: their tokens are told apart by one search.

    Args:
        clipped_3T: Whether each token is clipped low, high and dual; nonzero where it is.
        rows: Their tokens follow one another.
    """
    bounds, tokens = clipped_3T.nonzero().T.cpu().numpy()  # by bound, then by token
    lengths = [len(row.response_ids) for row in rows]
    ends = np.cumsum(lengths)
    owners = np.searchsorted(ends, tokens, side="right")
    places = tokens - (ends - lengths)[owners]
    begins = np.flatnonzero(np.diff(bounds * len(rows) + owners, prepend=-1))
    found = [
        (
            int(owners[start]),
            ClippedTokens(
                rollout=rows[owners[start]].rollout,
                bound=_BOUNDS[int(bounds[start])],
                places=tuple(places[start:stop].tolist()),
            ),
        )
        for start, stop in pairwise([*begins.tolist(), len(tokens)])
    ]
    return tuple(each for _, each in sorted(found, key=lambda one: one[0]))
