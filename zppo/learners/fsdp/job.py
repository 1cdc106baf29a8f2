"""What the ranks are told when they start."""

import os
from pathlib import Path
from typing import Literal

import torch
from transformers import PreTrainedModel

from schemas.base import Frozen
from schemas.config.learner import FsdpLearnerConfig
from schemas.config.models import ModelConfig
from zppo.core.objective import ClipBounds
from zppo.models.loading import ModelReference, load_model


class Source(Frozen):
    """A checkpoint on this machine."""

    config: ModelConfig
    directory: Path

    def load(self) -> PreTrainedModel:
        """The model on the CPU."""
        reference = ModelReference(self.config.model, directory=self.directory)
        return load_model(self.config, reference, torch.device("cpu"))


class Work(Frozen):
    """What is computed."""

    student: Source
    """What training starts from."""
    config: FsdpLearnerConfig
    temperature: float
    """The one that rollouts are sampled at."""
    bounds: ClipBounds | None = None
    """Of a policy gradient."""
    teacher: Source | None = None
    """For distillation; either this or `bounds` is there."""
    threads: int
    """Of each process."""


class Job(Frozen):
    """What is computed, and where the ranks report."""

    work: Work
    device: Literal["cpu", "cuda"]
    host: str
    """Of the training process, as the ranks reach it."""
    port: int
    token: str
    """Proves to the training process that a connection is a rank's."""

    def write(self, path: Path) -> None:
        """Write it so that nobody else on the machine reads the token."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(self.model_dump_json())

    @classmethod
    def read(cls, path: Path) -> "Job":
        """Read what `write` wrote."""
        return cls.model_validate_json(path.read_bytes())
