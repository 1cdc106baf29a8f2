"""Where teacher responses come from."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.base import Config
from schemas.config.endpoints import Prices
from schemas.config.models import EngineConfig, ModelConfig, TransformersEngineConfig


class _Pool(Config):
    visits: int = Field(default=4, ge=1)
    """Visits of a question that the precomputed pool lasts for; each takes `teacher_group_size` responses."""
    when_dry: Literal["plain", "reuse", "online"] = "plain"
    """What serves a visit when a question's responses run out: no teacher, the old ones reshuffled
    (a deviation from the method, counted), or new ones drawn online."""
    only_hard: bool = False
    """Precompute only for the questions that the base student finds hard."""

    @model_validator(mode="after")
    def _answers_somewhere(self) -> Self:
        if self.visits == 0 and (self.when_dry != "online" or self.only_hard):
            raise ValueError(
                "visits is 0, so there is no pool: expected when_dry 'online' and only_hard false, got "
                f"{self.when_dry!r} and {str(self.only_hard).lower()}; or set visits to 1 or more"
            )
        return self


class ModelTeacher(_Pool):
    """A frozen model through a local engine."""

    type: Literal["model"] = "model"
    model: ModelConfig
    visits: int = Field(default=4, ge=0)
    """As for every teacher; with 0 there is no pool, and each visit draws its responses online, as in the
    paper."""
    engine: EngineConfig = TransformersEngineConfig()
    """The teacher's own sampler: a larger model holds fewer tokens at once than the student."""
    temperature: float = Field(default=1.0, gt=0.0)
    max_response_tokens: int = Field(default=12288, ge=1)


class EndpointTeacher(_Pool):
    """A model behind an OpenAI-compatible chat endpoint; the machine's `endpoints.teacher` says where."""

    type: Literal["endpoint"] = "endpoint"
    model: str = Field(min_length=1)
    """Its name at the endpoint."""
    revision: str | None = None
    """A label of yours for what answers under that name, such as a date: recorded with every response, and
    another label makes another pool."""
    templates: str = "general"
    """Name of a template set in the package, or a directory with one."""
    visits: int = Field(default=4, ge=0)
    """As for a teacher of type `model`."""
    temperature: float = Field(default=1.0, gt=0.0)
    max_response_tokens: int = Field(default=12288, ge=1)
    enable_thinking: bool | None = None
    """Sent for the chat template where it has such a switch; vLLM and SGLang know it, others may refuse."""
    many_choices: bool = False
    """Ask for all responses of a visit in one request (`n`), which bills the prompt once. Not every endpoint
    can."""
    prices: Prices | None = None
    """What the provider charges; without them only tokens are counted."""


class ReferenceTeacher(_Pool):
    """The worked solutions that come with the data; each question has at most one."""

    type: Literal["reference"] = "reference"
    when_dry: Literal["plain", "reuse"] = "reuse"
    """One solution a question is all there is, so every later visit reuses it."""


class RecordedTeacher(_Pool):
    """Responses recorded earlier, from a JSONL file."""

    type: Literal["recorded"] = "recorded"
    path: str
    """JSONL with `question` (the question's text) or `question_id`, and `response`."""
    when_dry: Literal["plain", "reuse"] = "plain"


class NoTeacher(Config):
    """No teacher; for methods that need none."""

    type: Literal["none"] = "none"


TeacherConfig = Annotated[
    ModelTeacher | EndpointTeacher | ReferenceTeacher | RecordedTeacher | NoTeacher,
    Field(discriminator="type"),
]


class ExtractiveCompression(Config):
    """Keep the last steps and the boxed answer; needs no model."""

    type: Literal["extractive"] = "extractive"
    max_tokens: int = Field(default=512, ge=8)
    """Limit of a candidate in the student's tokens, for both authors alike."""
    max_lines: int = Field(default=5, ge=1)


class TeacherCompression(Config):
    """The teacher rewrites every candidate under one shared prompt, as in the paper."""

    type: Literal["teacher"] = "teacher"
    max_tokens: int = Field(default=512, ge=8)
    """Limit of a summary, for both authors alike."""
    max_lines: int = Field(default=5, ge=1)


CompressionConfig = Annotated[ExtractiveCompression | TeacherCompression, Field(discriminator="type")]
