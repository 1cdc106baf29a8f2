"""What a run carries from round to round besides its weights."""

from pydantic import Field

from schemas.base import Artifact
from schemas.buffer import ReplayBuffer


class TrainState(Artifact):
    """The state after a round: a pure function of the rounds committed so far."""

    round: int = Field(default=0, ge=0)
    """Rounds done; 0 is the base student."""
    buffer: ReplayBuffer = ReplayBuffer()
    served: dict[str, int] = {}
    """By question id: teacher responses that its visits have taken from the pool."""
