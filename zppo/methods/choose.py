"""From the recipe's `method` to the method."""

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
from zppo.methods.zppo import ZppoMethod


def choose_method(config: MethodConfig) -> TrainingMethod:
    """The method that a configuration names, with its settings."""
    method: TrainingMethod
    match config:
        case Hint():
            method = HintMethod(config)
        case Prefix():
            method = PrefixMethod(config)
        case OffPolicy():
            method = OffPolicyMethod(config)
        case OnPolicy():
            method = OnPolicyMethod(config)
        case WrongPairControl():
            method = WrongPairMethod(config)
        case NoGradientControl():
            method = NoGradientMethod(config)
        case ExtraPlainControl():
            method = ExtraPlainMethod(config)
        case _:
            method = ZppoMethod(config)
    return method
