"""The shape of a model: the configuration fields that decide its size, known without its weights."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Literal, get_args

from pydantic import Field, ValidationError

from schemas.base import Frozen
from zppo.errors import InputError

Family = Literal["llama", "qwen2", "qwen3", "qwen3_5_text"]


class TextShape(Frozen):
    """Fields of a text model's `config.json`, under their own names."""

    model_type: Family
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    attention_bias: bool = False
    mlp_bias: bool = False
    tie_word_embeddings: bool = False
    max_position_embeddings: int
    full_attention_interval: int = Field(default=1, ge=1)
    """Every so many layers one has full attention; the others are gated delta nets (linear attention)."""
    linear_conv_kernel_dim: int = 0
    linear_key_head_dim: int = 0
    linear_value_head_dim: int = 0
    linear_num_key_heads: int = 0
    linear_num_value_heads: int = 0


class ModelShape(Frozen):
    """A shape with its provenance."""

    model: str
    """Hub name, or directory."""
    text: TextShape
    weight_bytes: float
    """Bytes of a stored weight."""
    sources: tuple[str, ...]
    unknown: tuple[str, ...] = ()
    """What the sources do not tell."""


def committed_shape(model: str) -> ModelShape | None:
    """The shape of a hub model that the package knows, for use without a network; None for others."""
    file = files("zppo") / "models" / "shapes" / f"{model.replace('/', '--')}.json"
    return ModelShape.model_validate_json(file.read_bytes()) if file.is_file() else None


def directory_shape(directory: Path) -> ModelShape | None:
    """The shape of a local checkpoint; None for a family whose size formulas are not known.

    Raises:
        InputError: `config.json` is missing, is not JSON, or lacks a field.
    """
    path = directory / "config.json"
    try:
        fields = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected a model's configuration as JSON ({error})") from error
    text = _text_shape(fields, path)
    if text is None:
        return None
    stored = (fields.get("text_config") or fields).get("dtype") or fields.get("dtype")
    weight_bytes = 4.0 if stored == "float32" else 2.0
    return ModelShape(model=str(directory), text=text, weight_bytes=weight_bytes, sources=(str(path),))


def _text_shape(fields: dict[str, object], path: Path) -> TextShape | None:
    nested = fields.get("text_config")
    text = dict(nested) if isinstance(nested, dict) else dict(fields)
    if text.get("model_type") not in get_args(Family):
        return None
    # The configuration of a multimodal model ties its embeddings on the outside.
    text.setdefault("tie_word_embeddings", fields.get("tie_word_embeddings", False))
    text["head_dim"] = text.get("head_dim") or _head_dim(text)
    text["full_attention_interval"] = _interval(text)
    known = {
        name: value for name, value in text.items() if name in TextShape.model_fields and value is not None
    }
    try:
        return TextShape.model_validate(known)
    except ValidationError as error:
        raise InputError(f"{path}: not a complete {text['model_type']} configuration: {error}") from error


def _head_dim(text: dict[str, object]) -> int | None:
    hidden, heads = text.get("hidden_size"), text.get("num_attention_heads")
    return hidden // heads if isinstance(hidden, int) and isinstance(heads, int) else None


def _interval(text: dict[str, object]) -> int:
    """Distance between full-attention layers; a model that lists its layers shows it in the first one."""
    layers = text.get("layer_types")
    if isinstance(layers, list) and "full_attention" in layers:
        return layers.index("full_attention") + 1
    interval = text.get("full_attention_interval", 4 if text.get("model_type") == "qwen3_5_text" else 1)
    return interval if isinstance(interval, int) else 1
