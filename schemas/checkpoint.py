"""What stands beside the weights of a checkpoint."""

from typing import Literal

from pydantic import Field

from schemas.base import Artifact


class LearnerState(Artifact):
    """The learner's progress: with the weights and the optimizer's tensors, all it needs to go on."""

    optimizer: Literal["adamw"] = "adamw"
    """Whose tensors `optimizer.safetensors` holds: `<parameter>.exp_avg`, `.exp_avg_sq` and `.step`."""
    updates: int = Field(ge=0)
    """Optimizer updates made since the base student; the learning rate's warm-up goes by it."""
    parameters: int = Field(ge=1)
    """Trained numbers, tied weights counted once."""
