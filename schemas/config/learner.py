"""The optimizer and how the update is computed."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from schemas.base import Config, Fraction, any_of


class LoraConfig(Config):
    """Low-rank adapters; checkpoints hold the merged weights, and the adapters beside them."""

    rank: int = Field(default=16, ge=1)
    alpha: int = Field(default=32, ge=1)
    """What the adapters add is scaled by `alpha / rank`."""
    targets: tuple[str, ...] = ()
    """Names of the linear layers that get an adapter, such as `q_proj`; none: all but the output layer."""


class AdamWConfig(Config):
    """AdamW and its micro-batches, in however many processes. The defaults are the paper's."""

    learning_rate: float = Field(default=1e-6, gt=0.0)
    warmup_updates: int = Field(default=0, ge=0)
    """Updates over which the learning rate rises linearly to its constant value."""
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    adam_eps: float = Field(default=1e-8, gt=0.0)
    weight_decay: float = Field(default=0.1, ge=0.0)
    max_grad_norm: float = Field(default=1.0, gt=0.0)
    """Gradients are scaled down to this norm."""
    max_batch_tokens: int = Field(default=16384, ge=1)
    """Tokens (prompts, responses and padding) of a micro-batch; changes memory and speed, never the loss."""
    share_prompts: Literal["auto", "never"] = "auto"
    """Whether responses to one prompt share its encoding: where the model's attention allows it and it saves
    arithmetic, or never; changes speed, never the loss."""
    importance_cap: float | None = Field(default=None, gt=0.0)
    """Truncated importance sampling between sampler and learner, for an engine whose log-probabilities differ
    from the learner's: the learner scores the round's rollouts before its first update, the ratio of the
    loss is to those scores, and each token is weighed by the learner's probability over the sampler's, at
    most this. Off where absent. `sampler_drift_limit` holds all the same; raise it with care."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, a third more time."""
    autocast: Literal["none", "bfloat16"] = "none"
    """Type of the matrix products in scores and updates; the weights stay float32. The sampler's own type
    then differs, so `sampler_drift_limit` must be larger: 0.1, and more for long responses."""


class TorchLearnerConfig(AdamWConfig):
    """AdamW in one process."""

    type: Literal["torch"] = "torch"
    compile: bool = False
    """Fuse the layers' operations with `torch.compile`: minutes at the start, then faster on a GPU."""
    lora: LoraConfig | None = None
    """Train adapters in place of the weights: less memory for the optimizer, larger learning rates. Needs the
    package peft."""

    @model_validator(mode="after")
    def _switches_fit(self) -> Self:
        if self.compile and self.gradient_checkpointing:
            raise ValueError(
                "learner.compile and learner.gradient_checkpointing exclude each other: compiled layers "
                "themselves choose what to recompute; set one of them to false"
            )
        return self


class FsdpLearnerConfig(AdamWConfig):
    """AdamW in several processes, each with a shard of every weight and of its moments (FSDP2).

    Checkpoints are those of the `torch` learner, so that a run can be forked from one to the other, or to
    another number of processes. The number is part of the recipe, since the sums of a gradient round
    otherwise with it. Neither adapters nor `torch.compile`.
    """

    type: Literal["fsdp"] = "fsdp"
    processes: int = Field(ge=1)
    """On GPUs one each, the first ones of each machine; on the CPU they share its cores. The machine file
    says among how many machines they are shared out."""


def _torch_by_default(value: object) -> object:
    """`learner: {learning_rate: 1e-5}` need not name the type."""
    return {"type": "torch", **value} if isinstance(value, dict) else value


LearnerConfig = Annotated[
    TorchLearnerConfig | FsdpLearnerConfig,
    Field(discriminator="type", json_schema_extra=any_of),
    BeforeValidator(_torch_by_default),
]
