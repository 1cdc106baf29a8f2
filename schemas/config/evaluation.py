"""Evaluation, checkpoints and promotion."""

from pydantic import Field

from schemas.base import Config, Fraction, Name
from schemas.config.models import DecodingConfig


class EvaluationConfig(Config):
    """How the held-out questions are answered."""

    samples: int = Field(default=1, ge=1)
    """Responses a question; its accuracy is their mean."""
    decoding: DecodingConfig = DecodingConfig()
    max_questions: int | None = Field(default=None, ge=1)
    """Evaluate at most so many questions of each source, chosen by the run's seed."""
    confidence: float = Field(default=0.95, gt=0.0, lt=1.0)
    """Level of the bootstrap intervals."""
    bootstrap_resamples: int = Field(default=2000, ge=100)
    teacher: bool = True
    """Evaluate the teacher too, where it is a model or behind an endpoint."""


class ValidationConfig(Config):
    """How the best checkpoint is chosen while training."""

    max_questions: int = Field(default=200, ge=1)
    samples: int = Field(default=1, ge=1)
    out_of_distribution: bool = False
    """Answer as many questions of the sources that are only evaluated; for curves, it chooses nothing."""


class CheckpointConfig(Config):
    """When weights are written, and which are kept."""

    every: int = Field(default=10, ge=1)
    """Rounds between checkpoints; the last round always has one."""
    keep_last: int = Field(default=2, ge=1)
    keep_best: int = Field(default=1, ge=1)
    """How many of the best by validation accuracy stay."""
    max_bytes: int | None = Field(default=None, ge=1)
    """Of all checkpoints of the run together: beyond it the oldest go first. The one to resume from, the
    best, forked-from and registered ones stay even then, with a warning."""


class PromotionConfig(Config):
    """When the challenger becomes the champion.

    Settings of before the later gates stay the same settings: those gates are left out at their defaults.
    """

    registered_model: Name = "zppo-student"
    """Name in the model registry; runs that share it compete for its champion."""
    min_gain: float = Field(default=0.0, ge=0.0, le=1.0)
    """Least gain in held-out accuracy over the champion, or over the base where there is none."""
    max_source_loss: Fraction = 0.02
    """Most accuracy that any one source may lose."""
    interval_excludes_zero: bool = Field(default=True, exclude_if=lambda value: value is True)
    """The paired bootstrap interval of the gain, over the held-out questions, must exclude zero."""
    max_unreadable_rise: Fraction = Field(default=0.02, exclude_if=lambda value: value == 0.02)
    """Most that the share of truncated answers, and that of answers without a parsable final answer, may
    rise."""
    contamination_check: bool = Field(default=True, exclude_if=lambda value: value is True)
    """No test question may be among the training questions."""
