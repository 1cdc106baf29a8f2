"""The weights that servers must hold: a checkpoint's, or those of a module that a learner changes."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn
from transformers import PreTrainedModel

from zppo.errors import EngineError
from zppo.models.adapters import merged_weights, save_adapter, save_merged


class Weights:
    """Names the current weights, and writes them down for servers when they are not on disk.

    They are the checkpoint's until a module is followed and changes. Their name is made of what they are:
    nobody has to say that they changed. (Counting changes in place would not do, for a fused optimizer
    does not raise torch's version of a tensor.)
    """

    def __init__(self, checkpoint: Path, name: str, digest: str, temporary: Path) -> None:
        """Begin with a checkpoint.

        Args:
            checkpoint: Its directory.
            name: As the recipe names it, for instance on the hub.
            digest: Its name in fingerprints, the same in every process.
            temporary: Directory for later weights; the servers see it under the same path.
        """
        self._temporary = temporary
        self._written: Path | None = None
        self.become(checkpoint, name, digest)

    def become(self, checkpoint: Path, name: str, digest: str) -> None:
        """From now on the weights are those of a checkpoint; the arguments are as at the beginning."""
        self.remove()
        self.origins = (name, str(checkpoint))
        """What a server that was started with the checkpoint may have been told."""
        self.digest = digest
        self.name = digest
        """Of the weights as they were at the last look."""
        self.checkpoint = checkpoint
        """The directory of what they began with."""
        self._module: PreTrainedModel | None = None
        self._loaded = ""

    def follow(self, module: PreTrainedModel) -> None:
        """From now on the weights are the module's, which holds the checkpoint's at this moment."""
        self._module, self._loaded = module, content_digest(module)

    def look(self) -> None:
        """See what the weights are now."""
        if self._module is not None:
            content = content_digest(self._module)
            self.name = self.digest if content == self._loaded else content

    def directory(self) -> Path:
        """Where the weights of the last look lie as safetensors; writes them there first if need be."""
        return self.checkpoint if self._changed is None else self._write(self._changed, save_merged)

    def adapter(self) -> Path | None:
        """Where the adapters of the last look lie, as peft writes them; None where a checkpoint is all.

        They belong to the checkpoint's weights, which a learner of adapters leaves as they are.

        Raises:
            EngineError: The module has no adapters.
        """
        return None if self._changed is None else self._write(self._changed, save_adapter)

    @property
    def _changed(self) -> PreTrainedModel | None:
        """The module, where its weights are others than the checkpoint's."""
        return None if self.name == self.digest else self._module

    def _write(self, module: PreTrainedModel, save: Callable[[PreTrainedModel, Path], None]) -> Path:
        directory = self._temporary.absolute() / self.name
        if self._written != directory:
            self.remove()
            save(module, directory)
            self._written = directory
        return directory

    def tensors(self) -> dict[str, Tensor] | None:
        """The weights of the last look under the checkpoint's names; None where a checkpoint holds them.

        Raises:
            EngineError: The module names them otherwise.
        """
        if self._changed is None:
            return None
        weights = _untied(merged_weights(self._changed))
        if unknown := weights.keys() - self._names():
            raise EngineError(
                f"the checkpoint has no tensor named {min(unknown)!r}, so that a server would not know it: "
                "set weight_sync to disk in the machine file"
            )
        return weights

    def _names(self) -> set[str]:
        """Of the checkpoint's tensors."""
        names: set[str] = set()
        for file in self.checkpoint.glob("*.safetensors"):
            with safe_open(file, "pt") as opened:
                names |= set(opened.keys())
        return names

    def remove(self) -> None:
        """Take what was written off the disk."""
        if self._written is not None:
            shutil.rmtree(self._written)
            self._written = None


def _untied(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Each tensor once, under its first name, as checkpoints hold it."""
    first = {tensor.data_ptr(): name for name, tensor in reversed(weights.items())}
    return {name: tensor for name, tensor in weights.items() if first[tensor.data_ptr()] == name}


@torch.no_grad()
def content_digest(module: nn.Module) -> str:
    """A name for the parameters' values: a hash of each row, computed where it lies, and one over all."""
    digest = hashlib.blake2b(digest_size=16)
    for parameter in module.parameters():
        rows = torch.hash_tensor(parameter, -1) if parameter.dim() else torch.hash_tensor(parameter)
        digest.update(rows.cpu().numpy().tobytes())
    return digest.hexdigest()
