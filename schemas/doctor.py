"""What an examination of an installation finds."""

from typing import Literal

from pydantic import Field

from schemas.base import Frozen

Level = Literal["ok", "warning", "problem"]


class Finding(Frozen):
    """One thing that was looked at."""

    check: str = Field(min_length=1)
    """What was looked at, in a word or two."""
    level: Level
    """`warning`: works, but probably not as wanted; `problem`: runs would fail."""
    found: str
    todo: str = ""
    """What to do about it; empty where all is well."""
