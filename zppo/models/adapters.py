"""Models with low-rank adapters inside them, written as the plain models that they amount to, or apart."""

from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedModel

from zppo.errors import EngineError

ADAPTER_NAME = "default"
"""The one adapter of a model, as peft calls it."""


ADAPTER_FILE = "adapter_model.safetensors"
ADAPTER_PREFIX = "base_model.model."
"""What peft puts before the names of a model's tensors on disk."""


@runtime_checkable
class _Adapted(Protocol):
    """A linear layer with an adapter (peft's `LoraLayer`)."""

    def get_delta_weight(self, adapter: str) -> Tensor:
        """What the adapter adds to the weight."""
        ...


@torch.no_grad()
def merged_weights(model: PreTrainedModel) -> dict[str, Tensor]:
    """The model's tensors under the names of one without adapters, what these add included."""
    weights = {
        name.replace(".base_layer.", "."): tensor
        for name, tensor in model.state_dict().items()
        if ".lora_" not in name
    }
    for name, layer in model.named_modules():
        if isinstance(layer, _Adapted):
            weight = weights[f"{name}.weight"]
            weights[f"{name}.weight"] = weight + layer.get_delta_weight(ADAPTER_NAME).to(weight.dtype)
    return weights


def save_merged(model: PreTrainedModel, directory: Path) -> None:
    """Write a checkpoint that transformers loads without peft; the model stays as it is."""
    adapted = any(isinstance(layer, _Adapted) for layer in model.modules())
    model.save_pretrained(directory, state_dict=merged_weights(model) if adapted else None)


def save_adapter(model: PreTrainedModel, directory: Path) -> None:
    """Write the adapters alone, as peft does; the model stays as it is.

    Raises:
        EngineError: The model has none.
    """
    settings = getattr(model, "peft_config", {}).get(ADAPTER_NAME)
    if settings is None:
        raise EngineError(
            "the student has no adapters that could be sent to its servers: set weight_sync to disk in the "
            "machine file"
        )
    directory.mkdir(parents=True)
    tensors = {
        ADAPTER_PREFIX + name.replace(f".{ADAPTER_NAME}.", "."): tensor.contiguous()
        for name, tensor in model.state_dict().items()
        if ".lora_" in name
    }
    save_file(tensors, directory / ADAPTER_FILE)
    settings.save_pretrained(str(directory))
