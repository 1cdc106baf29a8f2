"""From the recipe's `method` to the method."""

from typing import assert_never

from schemas.config.method import (
    ExtraPlainControl,
    Hint,
    MethodConfig,
    NoGradientControl,
    OffPolicy,
    OnPolicy,
    Prefix,
    WrongPairControl,
)
from zppo.methods.base import TrainingMethod
from zppo.methods.controls import ExtraPlainMethod, NoGradientMethod, WrongPairMethod
from zppo.methods.distillation import OffPolicyMethod, OnPolicyMethod
from zppo.methods.hint import HintMethod
from zppo.methods.prefix import PrefixMethod
from zppo.methods.zppo import Family, ZppoMethod


def choose_method(config: MethodConfig) -> TrainingMethod:
    """The method that a configuration names, with its settings."""
    match config:
        case Hint():
            return HintMethod(config)
        case Prefix():
            return PrefixMethod(config)
        case OffPolicy():
            return OffPolicyMethod(config)
        case OnPolicy():
            return OnPolicyMethod(config)
        case WrongPairControl():
            return WrongPairMethod(config)
        case NoGradientControl():
            return NoGradientMethod(config)
        case ExtraPlainControl():
            return ExtraPlainMethod(config)
        case _:
            return ZppoMethod(config)
