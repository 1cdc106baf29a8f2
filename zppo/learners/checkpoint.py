"""The learner on disk: a Hugging Face checkpoint, the optimizer's tensors and a small JSON file."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pydantic
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer
from transformers import PreTrainedModel

from schemas.checkpoint import LearnerState
from zppo.errors import StoreError

OPTIMIZER_FILE = "optimizer.safetensors"
ADAPTER_FOLDER = "adapter"
STATE_FILE = "learner.json"
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


def save_optimizer(
    directory: Path, optimizer: Optimizer, parameters: Mapping[str, nn.Parameter], updates: int
) -> None:
    """Write AdamW's tensors under their parameters' names, and how far training got."""
    tensors = optimizer_tensors(optimizer, parameters)
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(contiguous, directory / OPTIMIZER_FILE)
    write_state(directory, parameters, updates)


def optimizer_tensors(optimizer: Optimizer, parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """AdamW's tensors under their parameters' names."""
    return {
        f"{name}.{moment}": optimizer.state[parameter][moment].detach()
        for name, parameter in parameters.items()
        for moment in _MOMENTS
        if parameter in optimizer.state  # absent before the first update, and where no gradient ever came
    }


def write_state(directory: Path, parameters: Mapping[str, nn.Parameter], updates: int) -> None:
    """Write how far training got."""
    state = LearnerState(updates=updates, parameters=_count(parameters))
    (directory / STATE_FILE).write_text(state.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_state(directory: Path, parameters: Mapping[str, nn.Parameter]) -> LearnerState:
    """Read how far training got.

    Raises:
        StoreError: The file is missing, damaged or of a model of another size.
    """
    path = directory / STATE_FILE
    try:
        state = LearnerState.model_validate_json(path.read_bytes())
    except (OSError, pydantic.ValidationError) as error:
        raise StoreError(
            f"cannot read the learner's state {path}: {error}; use another checkpoint"
        ) from error
    if state.parameters != _count(parameters):
        raise StoreError(
            f"{path} belongs to a model of {state.parameters:,} trained parameters, but this one has "
            f"{_count(parameters):,}; resume with the model that wrote it"
        )
    return state


def read_optimizer(directory: Path, parameters: Mapping[str, nn.Parameter]) -> dict[int, dict[str, Tensor]]:
    """Read AdamW's tensors by each parameter's place in the optimizer.

    Raises:
        StoreError: The file is missing or damaged, or does not fit the parameters.
    """
    path = directory / OPTIMIZER_FILE
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise StoreError(f"cannot read the optimizer {path}: {error}; use another checkpoint") from error
    moments = {
        place: {moment: tensors.pop(f"{name}.{moment}") for moment in _MOMENTS}
        for place, name in enumerate(parameters)
        if all(f"{name}.{moment}" in tensors for moment in _MOMENTS)
    }
    shapes_fit = all(
        moments[place]["exp_avg"].shape == moments[place]["exp_avg_sq"].shape == parameter.shape
        for place, parameter in enumerate(parameters.values())
        if place in moments
    )
    if tensors or not shapes_fit:
        raise StoreError(f"{path} was written for another model; resume with the model that wrote it")
    return moments


def read_weights(directory: Path, model: PreTrainedModel) -> PreTrainedModel:
    """Read the checkpoint's weights into a new model of the same class and type on the CPU.

    Raises:
        StoreError: Files are missing or damaged, or hold another architecture's weights.
    """
    try:
        result = type(model).from_pretrained(
            directory, dtype=model.dtype, output_loading_info=True, local_files_only=True
        )
    except (OSError, SafetensorError) as error:
        raise StoreError(f"cannot read the checkpoint {directory}: {error}; use another one") from error
    loaded, report = cast(tuple[PreTrainedModel, dict[str, set[str]]], result)
    # transformers would fill such gaps with random numbers.
    if gaps := sorted(map(str, [*report["missing_keys"], *report["mismatched_keys"]])):
        raise StoreError(f"the checkpoint {directory} lacks {', '.join(gaps[:5])}; use another one")
    return loaded


def _count(parameters: Mapping[str, nn.Parameter]) -> int:
    return sum(parameter.numel() for parameter in parameters.values())
