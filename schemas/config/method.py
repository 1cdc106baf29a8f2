"""The training methods. Each variant carries only its own settings; the defaults are the paper's."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.base import Config, Fraction
from schemas.config.teacher import CompressionConfig, ExtractiveCompression

Normalization = Literal["none", "nonzero", "all"]


class PolicyGradient(Config):
    """Settings of every method that learns from graded rollouts."""

    group_size: int = Field(default=8, ge=2)
    """`G_S`: student rollouts of a prompt."""
    iterations: int = Field(default=4, ge=1)
    """`I`: optimizer updates a round; each takes one part of the round's groups."""
    normalization: Normalization = "nonzero"
    """Second step of the advantages: off, over groups with a spread, or over all groups."""
    statistics: Literal["step", "mini_batch"] = "step"
    """Population of the second step: the whole round (computed once) or each mini-batch."""
    clip_low: float = Field(default=0.20, gt=0.0, lt=1.0)
    clip_high: float = Field(default=0.28, gt=0.0)
    dual_clip: float = Field(default=10.0, gt=1.0)
    """Bound on the ratio where the advantage is negative."""
    tau: float = Field(default=0.5, gt=0.0, le=1.0)
    """A question is hard when its plain accuracy is below `tau`."""


class Replay(Config):
    """Settings of the replay buffer of hard questions."""

    replay_fraction: Fraction = 0.25
    """`rho_replay`: replayed questions as a fraction of the new ones, on top of them."""
    buffer_capacity: int = Field(default=10_000, ge=1)
    """Questions that the buffer holds; the oldest leave first."""


class Reformulation(Config):
    """Settings of the reformulated prompts of hard questions."""

    augment_fraction: Fraction = 0.25
    """`rho_aug`: most reformulated prompts a round, as a fraction of the new questions."""
    compression: CompressionConfig = ExtractiveCompression()
    """How candidates are shortened."""


class WithTeacher(Config):
    """Settings of methods that ask the teacher."""

    teacher_group_size: int = Field(default=4, ge=1)
    """`G_T`: teacher responses of a hard question at each visit."""


class Zppo(PolicyGradient, Replay, Reformulation, WithTeacher):
    """The whole method: replay buffer, BCQ and NCQ."""

    type: Literal["zppo"] = "zppo"


class Grpo(PolicyGradient):
    """Plain groups only."""

    type: Literal["grpo"] = "grpo"


class GrpoReplay(PolicyGradient, Replay):
    """Plain groups and the replay buffer."""

    type: Literal["grpo_replay"] = "grpo_replay"


class GrpoBoth(PolicyGradient, Reformulation, WithTeacher):
    """BCQ and NCQ without the replay buffer."""

    type: Literal["grpo_both"] = "grpo_both"


class GrpoReplayBcq(PolicyGradient, Replay, Reformulation, WithTeacher):
    """Replay buffer and BCQ."""

    type: Literal["grpo_replay_bcq"] = "grpo_replay_bcq"


class GrpoReplayNcq(PolicyGradient, Replay, Reformulation):
    """Replay buffer and NCQ; asks no teacher for responses."""

    type: Literal["grpo_replay_ncq"] = "grpo_replay_ncq"


MethodConfig = Annotated[
    Zppo | Grpo | GrpoReplay | GrpoBoth | GrpoReplayBcq | GrpoReplayNcq,
    Field(discriminator="type"),
]
