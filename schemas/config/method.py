"""The training methods. Each variant carries only its own settings; the defaults are the paper's."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.base import Config, Fraction
from schemas.config.teacher import CompressionConfig, ExtractiveCompression

Normalization = Literal["none", "nonzero", "all"]


class StudentRollouts(Config):
    """Settings of every method."""

    group_size: int = Field(default=8, ge=2)
    """`G_S`: student rollouts of a prompt."""
    tau: float = Field(default=0.5, gt=0.0, le=1.0)
    """A question is hard when its plain accuracy is below `tau`."""


class PolicyGradient(StudentRollouts):
    """Settings of every method that learns from graded rollouts."""

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


class Replay(Config):
    """Settings of the replay buffer of hard questions."""

    replay_fraction: Fraction = 0.25
    """`rho_replay`: replayed questions as a fraction of the new ones, on top of them."""
    buffer_capacity: int = Field(default=10_000, ge=1)
    """Questions that the buffer holds; the oldest leave first."""


class Augmentation(Config):
    """Settings of the prompts that hard questions get besides the plain one."""

    augment_fraction: Fraction = 0.25
    """`rho_aug`: most such prompts a round, as a fraction of the new questions."""


class Reformulation(Augmentation):
    """Settings of BCQ and NCQ prompts."""

    compression: CompressionConfig = ExtractiveCompression()
    """How candidates are shortened."""


class WithTeacher(Config):
    """Settings of methods that ask the teacher."""

    teacher_group_size: int = Field(default=4, ge=1)
    """`G_T`: teacher responses of a question at each visit."""


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


class Hint(PolicyGradient, Replay, Augmentation, WithTeacher):
    """Replay buffer, and hard questions with an answer-free hint that the teacher wrote."""

    type: Literal["hint"] = "hint"
    max_hint_tokens: int = Field(default=512, ge=1)
    """Longest hint in the student's tokens; a longer one is not used."""


class Prefix(PolicyGradient, Replay, Augmentation, WithTeacher):
    """Replay buffer, and hard questions whose responses begin as a correct one of the teacher's does."""

    type: Literal["prefix"] = "prefix"
    prefix_fraction: float = Field(default=0.4, gt=0.0, lt=1.0)
    """Part of the teacher's response, in tokens, that is forced."""


class OffPolicy(StudentRollouts, WithTeacher):
    """Settings of distillation along the teacher's own correct responses."""


class OnPolicy(StudentRollouts):
    """Settings of distillation along the student's rollouts."""


class OffPolicyDistillation(OffPolicy):
    """Divergence from the teacher along its own correct responses."""

    type: Literal["off_policy_distillation"] = "off_policy_distillation"


class OffPolicyDistillationReplay(OffPolicy, Replay):
    """The same with the replay buffer."""

    type: Literal["off_policy_distillation_replay"] = "off_policy_distillation_replay"


class OnPolicyDistillation(OnPolicy):
    """Divergence from the teacher along the student's rollouts."""

    type: Literal["on_policy_distillation"] = "on_policy_distillation"


class OnPolicyDistillationReplay(OnPolicy, Replay):
    """The same with the replay buffer."""

    type: Literal["on_policy_distillation_replay"] = "on_policy_distillation_replay"


class WrongPairControl(PolicyGradient, Replay, Reformulation):
    """A control: ZPPO whose BCQ shows two wrong rollouts of the student, and nothing of the teacher's."""

    type: Literal["control_wrong_pair"] = "control_wrong_pair"


class ExtraPlainControl(PolicyGradient, Replay, Augmentation):
    """A control: further plain groups of the hardest questions where ZPPO draws BCQ and NCQ."""

    type: Literal["control_extra_plain"] = "control_extra_plain"


class NoGradientControl(PolicyGradient, Replay, Reformulation, WithTeacher):
    """A control: ZPPO that draws BCQ and NCQ groups and learns nothing from them."""

    type: Literal["control_no_gradient"] = "control_no_gradient"


MethodConfig = Annotated[
    Zppo
    | Grpo
    | GrpoReplay
    | GrpoBoth
    | GrpoReplayBcq
    | GrpoReplayNcq
    | Hint
    | Prefix
    | OffPolicyDistillation
    | OffPolicyDistillationReplay
    | OnPolicyDistillation
    | OnPolicyDistillationReplay
    | WrongPairControl
    | ExtraPlainControl
    | NoGradientControl,
    Field(discriminator="type"),
]
