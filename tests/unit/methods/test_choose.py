from schemas.config.method import PolicyGradient
from tests.reference.product import CONFIGS
from tests.reference.world import DISTILLATION
from zppo.methods.choose import choose_method
from zppo.methods.zppo import PRESETS, ZppoMethod


def test_every_configuration_chooses_a_method_that_has_it() -> None:
    for config in CONFIGS.values():
        chosen = choose_method(config())
        assert chosen.config == config()  # type: ignore[attr-defined]


def test_the_presets_are_the_methods_of_one_file() -> None:
    family = {name for name, config in CONFIGS.items() if isinstance(choose_method(config()), ZppoMethod)}
    assert family == PRESETS.keys()


def test_every_method_but_distillation_is_a_policy_gradient() -> None:
    assert {name for name, config in CONFIGS.items() if not issubclass(config, PolicyGradient)} == set(
        DISTILLATION
    )
