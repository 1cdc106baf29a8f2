"""Activation checkpointing: layers whose activations the backward pass computes again."""

from collections.abc import Iterator
from contextlib import contextmanager

from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from zppo.errors import InputError


def enable(model: PreTrainedModel) -> None:
    """Let the model's layers recompute their activations inside `recomputing`.

    Raises:
        InputError: The architecture does not support it.
    """
    check(model)
    model.gradient_checkpointing_enable({"use_reentrant": False})


def check(model: PreTrainedModel) -> None:
    """Raise `InputError` where the architecture does not support it."""
    if not model.supports_gradient_checkpointing:
        raise InputError(
            f"{type(model).__name__} does not support gradient checkpointing; set "
            "learner.gradient_checkpointing to false, and learner.max_batch_tokens lower to save memory"
        )


@contextmanager
def recomputing(model: PreTrainedModel) -> Iterator[None]:
    """Recompute activations within, where that is enabled.

    transformers does so in training mode only. Only the layers' own flag is set, not that of the modules
    inside, whose dropout must stay off; and only for the update, since it would take away the cache of a
    sampler that shares the model.
    """
    layers = [
        layer
        for layer in model.modules()
        if isinstance(layer, GradientCheckpointingLayer) and layer.gradient_checkpointing
    ]
    for layer in layers:
        layer.training = True
    try:
        yield
    finally:
        for layer in layers:
            layer.training = False
