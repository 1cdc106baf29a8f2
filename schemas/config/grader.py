"""How responses are graded."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.base import Config
from schemas.config.endpoints import Prices


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


class _Judge(Config):
    templates: str = "general"
    """Template set, in the package or a directory, whose `judge.txt` is the judge's prompt; the general one
    serves where a set has none."""
    evaluation: bool = True
    """In evaluation, judge also the responses to other questions in which the rules find no answer that they
    can read. A verdict of the rules is never overruled."""


class EndpointJudge(_Judge):
    """A model behind a chat endpoint (`Runtime.endpoints.judge`) judges free-form answers."""

    type: Literal["endpoint"] = "endpoint"
    model: str = Field(min_length=1)
    """Its name at the endpoint."""
    revision: str | None = None
    """A label of yours for what answers under that name, such as a date; it is part of what a run is."""
    enable_thinking: bool | None = None
    """Sent for the chat template where it has such a switch. A model that thinks aloud before its verdict
    gives none that can be read: false turns that off."""
    prices: Prices | None = None
    """What the provider charges; without them only tokens are counted."""


class TeacherJudge(_Judge):
    """The run's teacher model judges free-form answers, as in the paper, without thinking aloud."""

    type: Literal["teacher"] = "teacher"


JudgeConfig = Annotated[EndpointJudge | TeacherJudge, Field(discriminator="type")]
