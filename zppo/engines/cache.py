"""A key-value cache that a group of responses shares at prefill and that shrinks as they end."""

import torch
from transformers import PreTrainedConfig
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer


class PreallocatedLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """Full-attention keys and values in buffers that grow by doubling.

    `DynamicLayer` copies all keys for each new token; here a token is written in place. `keys` and
    `values` are views of the used part, `[rows, heads, tokens, head_dim]`.
    """

    _key_buffer: torch.Tensor
    _value_buffer: torch.Tensor

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append the states of the new tokens, `[rows, heads, new, head_dim]`; return all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self._key_buffer = key_states.new_empty(0)
            self._value_buffer = value_states.new_empty(0)
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        if self._key_buffer.dim() != 4 or end > self._key_buffer.shape[-2]:
            self._key_buffer = _grown(self.keys, key_states, start, 2 * end)
            self._value_buffer = _grown(self.values, value_states, start, 2 * end)
        self._key_buffer[:, :, start:end] = key_states
        self._value_buffer[:, :, start:end] = value_states
        self.keys = self._key_buffer[:, :, :end]
        self.values = self._value_buffer[:, :, :end]
        return self.keys, self.values

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        """Keep (and repeat) the rows named; the next token allocates new buffers."""
        super().reorder_cache(beam_idx)  # type: ignore[arg-type]
        self._key_buffer = self._key_buffer.new_empty(0)
        self._value_buffer = self._value_buffer.new_empty(0)


def _grown(used: torch.Tensor | None, like: torch.Tensor, length: int, capacity: int) -> torch.Tensor:
    """A buffer of `capacity` tokens that begins with the `length` tokens used so far."""
    rows, heads, _, head_dim = like.shape
    buffer = like.new_empty(rows, heads, capacity, head_dim)
    if used is not None and length:
        buffer[:, :, :length] = used
    return buffer


def new_cache(config: PreTrainedConfig) -> Cache:
    """An empty cache for a model; sliding and recurrent layers keep transformers' own classes."""
    cache = DynamicCache(config=config)
    cache.layers = [
        PreallocatedLayer() if type(layer) is DynamicLayer else layer  # type: ignore[no-untyped-call]
        for layer in cache.layers
    ]
    return cache


def select_rows(cache: Cache, rows: torch.Tensor) -> None:
    """Make row `i` of every layer, recurrent ones too, what was row `rows[i]`; rows may repeat."""
    cache.reorder_cache(rows)  # type: ignore[arg-type]
