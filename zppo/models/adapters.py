"""Models with low-rank adapters inside them, written as the plain models that they amount to."""

from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from transformers import PreTrainedModel

ADAPTER_NAME = "default"
"""The one adapter of a model, as peft calls it."""


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
