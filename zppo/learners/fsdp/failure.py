"""The word that the agent leaves of a rank that failed; light, since the agent needs no model."""

from typing import ClassVar

from schemas.base import Frozen


class Failure(Frozen):
    """How a rank ended before its time."""

    FILE: ClassVar[str] = "failure.json"
    """Its name in the directory of the job."""
    rank: int
    exit_code: int
    """Negative for the signal that ended it."""
    said: str
    """The end of its log."""
