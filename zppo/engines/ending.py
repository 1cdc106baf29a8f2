"""Where responses end: the end-of-sequence tokens and the context window of a model."""

from pathlib import Path

from transformers import AutoConfig, GenerationConfig, PreTrainedConfig

from zppo.errors import InputError
from zppo.models.chat import ChatTokenizer

_UNBOUNDED = 1 << 62
"""Context window of a model that names none."""


def end_of_sequence_ids(
    generation: GenerationConfig | None, tokenizer: ChatTokenizer, name: str
) -> tuple[int, ...]:
    """Tokens that end a response: those of the generation config, else the tokenizer's.

    Args:
        generation: The model's generation config, if it has one.
        tokenizer: The model's.
        name: The model's, for the error.

    Raises:
        InputError: neither names one.
    """
    ids = generation.eos_token_id if generation is not None else None
    ids = tokenizer.eos_id if ids is None else ids
    if ids is None:
        raise InputError(
            f"{name}: an end-of-sequence token is needed, but neither "
            "generation_config.json nor the tokenizer names one; add eos_token_id to generation_config.json"
        )
    return (ids,) if isinstance(ids, int) else tuple(ids)


def context_window(config: PreTrainedConfig) -> int:
    """Positions that the model knows, prompt and response together."""
    window = getattr(config.get_text_config(decoder=True), "max_position_embeddings", None)
    return _UNBOUNDED if window is None else int(window)


def read_ending(
    directory: Path, tokenizer: ChatTokenizer, trust_remote_code: bool
) -> tuple[tuple[int, ...], int]:
    """End-of-sequence ids and context window of a checkpoint, without its weights.

    Raises:
        InputError: the files do not say.
    """
    try:
        config = AutoConfig.from_pretrained(
            directory, local_files_only=True, trust_remote_code=trust_remote_code
        )
    except (OSError, ValueError) as error:
        raise InputError(f"the configuration in {directory} cannot be read: {error}") from error
    generation = (
        GenerationConfig.from_pretrained(directory, local_files_only=True)
        if (directory / "generation_config.json").is_file()
        else GenerationConfig.from_model_config(config)
    )
    return end_of_sequence_ids(generation, tokenizer, str(directory)), context_window(config)
