"""The policy-gradient methods of the paper: presets of one method with four switches."""

from dataclasses import dataclass

from schemas.config.method import MethodConfig, PolicyGradient, Reformulation, Replay, WithTeacher
from schemas.config.teacher import CompressionConfig, ExtractiveCompression


@dataclass(frozen=True)
class Switches:
    """What distinguishes the methods."""

    replay: bool = False
    """Hard questions wait in a buffer and are rolled out again."""
    bcq: bool = False
    ncq: bool = False
    teacher: bool = False
    """Hard questions visit the teacher."""


PRESETS = {
    "grpo": Switches(),
    "grpo_replay": Switches(replay=True),
    "grpo_both": Switches(bcq=True, ncq=True, teacher=True),
    "grpo_replay_bcq": Switches(replay=True, bcq=True, teacher=True),
    "grpo_replay_ncq": Switches(replay=True, ncq=True),
    "zppo": Switches(replay=True, bcq=True, ncq=True, teacher=True),
}


@dataclass(frozen=True)
class Method:
    """A resolved method: its switches, and the settings that a switch turns off at zero."""

    switches: Switches
    gradient: PolicyGradient
    replay_fraction: float = 0.0
    buffer_capacity: int = 0
    augment_fraction: float = 0.0
    teacher_group_size: int = 0
    compression: CompressionConfig = ExtractiveCompression()


def resolve_method(config: MethodConfig) -> Method:
    """The method of a recipe with the settings that its variant carries."""
    replay = config if isinstance(config, Replay) else None
    reformulation = config if isinstance(config, Reformulation) else None
    return Method(
        switches=PRESETS[config.type],
        gradient=config,
        replay_fraction=replay.replay_fraction if replay else 0.0,
        buffer_capacity=replay.buffer_capacity if replay else 0,
        augment_fraction=reformulation.augment_fraction if reformulation else 0.0,
        compression=reformulation.compression if reformulation else ExtractiveCompression(),
        teacher_group_size=config.teacher_group_size if isinstance(config, WithTeacher) else 0,
    )
