"""How responses are graded."""

from typing import Literal

from pydantic import Field

from schemas.base import Config


class RuleGraderConfig(Config):
    """Compare the last box with the gold answer, by the question's answer kind."""

    type: Literal["rules"] = "rules"
    timeout_seconds: float = Field(default=1.0, gt=0.0)
    """Time for one answer, enforced from outside the grading process."""
    max_answer_characters: int = Field(default=2000, ge=1)
    """A longer final answer is a grader error."""
    relative_tolerance: float = Field(default=1e-6, ge=0.0)
    """Of the `numeric` answer kind."""


GraderConfig = RuleGraderConfig
