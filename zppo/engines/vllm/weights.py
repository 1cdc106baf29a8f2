"""The weights that servers must hold: a checkpoint's, or those of a module that a learner changes."""

import shutil
import uuid
from pathlib import Path

from torch import nn
from transformers import PreTrainedModel


class Weights:
    """Names the current weights, and writes them down for servers when they are not on disk.

    They are the checkpoint's until a module is followed and changes. Every change in place counts, an
    optimizer's as well as a restored checkpoint's, because torch itself numbers them
    (https://docs.pytorch.org/docs/stable/notes/autograd.html#in-place-operations-on-tensors).
    """

    def __init__(self, checkpoint: Path, name: str, digest: str, temporary: Path) -> None:
        """Begin with a checkpoint.

        Args:
            checkpoint: Its directory.
            name: As the recipe names it, for instance on the hub.
            digest: Its name in fingerprints, the same in every process.
            temporary: Directory for later weights; the servers see it under the same path.
        """
        self.origins = (name, str(checkpoint))
        """What a server that was started with the checkpoint may have been told."""
        self._checkpoint = checkpoint
        self.digest = digest
        self._temporary = temporary
        self._id = uuid.uuid4().hex
        self._module: PreTrainedModel | None = None
        self._loaded = 0
        self._written: Path | None = None

    def follow(self, module: PreTrainedModel) -> None:
        """From now on the weights are the module's, which holds the checkpoint's at this moment."""
        self._module, self._loaded = module, changes(module)

    @property
    def name(self) -> str:
        """Differs from every name of other weights, those of other processes included."""
        if self._module is None or changes(self._module) == self._loaded:
            return self.digest
        return f"{self._id}-{changes(self._module)}"

    def directory(self) -> Path:
        """Where the current weights lie as safetensors; writes them there first if need be."""
        name = self.name
        if self._module is None or name == self.digest:
            return self._checkpoint
        directory = self._temporary.absolute() / name
        if self._written != directory:
            self.remove()
            self._module.save_pretrained(directory)
            self._written = directory
        return directory

    def remove(self) -> None:
        """Take what was written off the disk."""
        if self._written is not None:
            shutil.rmtree(self._written)
            self._written = None


def changes(module: nn.Module) -> int:
    """How often the module's parameters were changed in place, so far."""
    return sum(parameter._version for parameter in module.parameters())
