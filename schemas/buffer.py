"""The replay buffer of hard questions; it stores questions only, never responses."""

from typing import Literal

from pydantic import Field

from schemas.base import Artifact, Fraction, Frozen


class BufferEntry(Frozen):
    """A hard question that waits to be replayed."""

    question_id: str
    admitted_round: int = Field(ge=1)
    entry_accuracy: Fraction
    """Plain accuracy when it was admitted; later visits do not change it."""
    visits: int = Field(ge=1)
    """Plain groups since admission, the admitting one included."""


class ReplayBuffer(Artifact):
    """Entries from the oldest to the newest: the first is the next to be evicted."""

    entries: tuple[BufferEntry, ...] = ()


class BufferEvent(Frozen):
    """A question that enters or leaves the buffer."""

    event: Literal["admit", "graduate", "evict"]
    question_id: str
    entry_accuracy: Fraction
    accuracy: Fraction | None
    """Plain accuracy in this round; None for an eviction, which needs no rollout."""
    visits: int = Field(ge=1)
    admitted_round: int = Field(ge=1)
