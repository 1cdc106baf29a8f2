"""Low-rank adapters (https://arxiv.org/abs/2106.09685) through peft, trained in place of the weights."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel

from schemas.config.learner import LoraConfig
from zppo.errors import InputError, StoreError
from zppo.models.adapters import ADAPTER_FILE, ADAPTER_NAME, ADAPTER_PREFIX


class Lora:
    """The adapters of a model, inside its linear layers: whoever shares the model computes with them."""

    def __init__(self, model: PreTrainedModel, config: LoraConfig) -> None:
        """Add adapters that change nothing yet, and fix all other weights.

        Raises:
            InputError: peft is not installed, or the model has no layer that the targets name.
        """
        try:
            import peft
        except ImportError as error:
            raise InputError(
                "learner.lora needs the package peft, which is not installed: pip install 'zppo[lora]'"
            ) from error
        settings = peft.LoraConfig(
            r=config.rank,
            lora_alpha=config.alpha,
            target_modules=list(config.targets) or "all-linear",
        )
        # The first factor is drawn at random, the second is zero; fixed, so that a run can be repeated.
        with torch.random.fork_rng():
            torch.manual_seed(0)
            try:
                self._adapted = peft.get_peft_model(model, settings, adapter_name=ADAPTER_NAME)
            except ValueError as error:
                raise InputError(
                    f"learner.lora.targets {list(config.targets)} do not fit the student: {error}"
                ) from error
        self._adapted.train(False)
        self._model = model

    def save(self, directory: Path) -> None:
        """Write the adapters as peft does."""
        self._adapted.save_pretrained(str(directory))
        (directory / "README.md").unlink(missing_ok=True)  # a form for a model card, not filled in

    def read(self, directory: Path) -> dict[str, Tensor]:
        """The tensors of adapters that `save` wrote, by their names in the model.

        Raises:
            StoreError: They are missing or damaged, or of other layers or another rank.
        """
        path = directory / ADAPTER_FILE
        try:
            stored = load_file(path)
        except (OSError, SafetensorError) as error:
            raise StoreError(f"cannot read the adapters {path}: {error}; use another checkpoint") from error
        tensors = {
            name.removeprefix(ADAPTER_PREFIX).replace(".weight", f".{ADAPTER_NAME}.weight"): tensor
            for name, tensor in stored.items()
        }
        own = {name: weight.shape for name, weight in self._model.named_parameters() if weight.requires_grad}
        if own != {name: tensor.shape for name, tensor in tensors.items()}:
            raise StoreError(
                f"{path} holds adapters of other layers or another rank; resume with the learner.lora that "
                "wrote it"
            )
        return tensors
