"""The learner of a recipe: which one, and what goes with it."""

import pytest
from pydantic import TypeAdapter, ValidationError

from schemas.config.learner import FsdpLearnerConfig, LearnerConfig, TorchLearnerConfig

LEARNER: TypeAdapter[LearnerConfig] = TypeAdapter(LearnerConfig)


def test_a_learner_without_a_type_is_in_one_process() -> None:
    assert LEARNER.validate_python({"learning_rate": 1e-5}) == TorchLearnerConfig(learning_rate=1e-5)


def test_several_processes_share_the_settings_of_one() -> None:
    learner = LEARNER.validate_python({"type": "fsdp", "processes": 2, "learning_rate": 1e-5})
    assert learner == FsdpLearnerConfig(processes=2, learning_rate=1e-5)
    alone = TorchLearnerConfig(learning_rate=1e-5).model_dump(exclude={"type", "compile", "lora"})
    assert learner.model_dump(exclude={"type", "processes"}) == alone


@pytest.mark.parametrize("extra", [{"lora": {}}, {"compile": True}, {"processes": 0}])
def test_what_several_processes_cannot_do_is_refused(extra: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(extra))):
        LEARNER.validate_python({"type": "fsdp", "processes": 2, **extra})


def test_the_number_of_processes_has_to_be_given() -> None:
    with pytest.raises(ValidationError, match="processes"):
        LEARNER.validate_python({"type": "fsdp"})
