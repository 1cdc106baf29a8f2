"""Which checkpoints a run uses, and how text is sampled from them."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from schemas.base import Config, Fraction


class ModelConfig(Config):
    """A causal language model with its tokenizer and chat template."""

    model: str
    """`pocket/student`, `pocket/teacher`, `smollm2`, a local directory, a hub name, `champion`, or
    `models:/NAME/VERSION` from the registry."""
    revision: str | None = None
    """Hub revision (branch, tag or commit); resolved to a commit when the run starts."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the weights in memory. bfloat16 is slow on CPUs without native support."""
    templates: str = "general"
    """Name of a template set in the package, or a directory with one."""
    enable_thinking: bool | None = None
    """Passed to the chat template where it has such a switch (Qwen3 and later)."""
    trust_remote_code: bool = False
    """Run code that comes with the checkpoint. Off: such checkpoints are refused."""

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, value: object) -> object:
        """A bare name, as in `student: champion`, leaves everything else at its default."""
        return {"model": value} if isinstance(value, str) else value


class SamplingConfig(Config):
    """How rollouts are drawn in training; nothing truncates the distribution."""

    temperature: float = Field(default=1.0, gt=0.0, le=10.0)
    """Logits are divided by it, in the sampler and in the learner alike."""
    max_prompt_tokens: int = Field(default=4096, ge=1)
    """Limit of a plain prompt, chat template included. Reformulated prompts are bounded by the context."""
    max_response_tokens: int = Field(default=12288, ge=1)
    """Limit of a response; one that reaches it is truncated."""


class DecodingConfig(Config):
    """How answers are drawn in evaluation. The defaults are the paper's."""

    temperature: float = Field(default=0.6, ge=0.0, le=10.0)
    """0 means greedy."""
    top_p: float = Field(default=0.95, gt=0.0, le=1.0)
    top_k: int = Field(default=20, ge=0)
    """0 means no limit."""
    min_p: Fraction = 0.0
    presence_penalty: float = Field(default=1.5, ge=-2.0, le=2.0)
    """Subtracted from the logit of every token that the response already holds."""
    repetition_penalty: float = Field(default=1.0, gt=0.0)
    max_response_tokens: int = Field(default=12288, ge=1)


class TransformersEngineConfig(Config):
    """Rollouts through Hugging Face transformers, in the training process, on the learner's own weights."""

    type: Literal["transformers"] = "transformers"
    max_batch_tokens: int = Field(default=65536, ge=1)
    """Sequences decoded together times their final length: bounds the key-value cache at all times. Where a
    call's responses do not fit at once, others join as some end, unless the model's cache forbids it."""


class VllmEngineConfig(Config):
    """Rollouts through vLLM servers, in processes of their own; the machine says where (`Runtime.vllm`)."""

    type: Literal["vllm"] = "vllm"
    max_model_len: int | None = Field(default=None, ge=2)
    """Longest prompt and response together; none: the model's whole context window. A shorter one leaves
    the key-value cache room for more sequences."""
    max_sequences: int = Field(default=256, ge=1)
    """Decoded together by one server at most."""
    gpu_memory_fraction: float = Field(default=0.9, gt=0.0, le=1.0)
    """Of each GPU, for a server's weights and key-value cache; less beside a learner on the same GPU."""


def _transformers_by_default(value: object) -> object:
    """`engine: {max_batch_tokens: 4096}` need not name the type."""
    return {"type": "transformers", **value} if isinstance(value, dict) else value


EngineConfig = Annotated[
    TransformersEngineConfig | VllmEngineConfig,
    Field(discriminator="type"),
    BeforeValidator(_transformers_by_default),
]
