"""Which sampled tokens an update clipped."""

from typing import Literal

from pydantic import Field

from schemas.base import Frozen

Bound = Literal["low", "high", "dual"]
"""`low`: negative advantage, ratio below `1 - clip_low`; `high`: positive advantage, ratio above
`1 + clip_high`; `dual`: negative advantage, ratio above `dual_clip`."""


class ClippedTokens(Frozen):
    """The tokens of one rollout whose gradient one bound took away in an update."""

    rollout: str
    """`<group id>#<index>`."""
    bound: Bound
    places: tuple[int, ...] = Field(min_length=1)
    """Ascending, from 0, among the tokens that were sampled: a forced prefix is not counted."""
