"""A key-value cache that a group of responses shares at prefill, that shrinks as they end and others join."""

import torch
from transformers import PreTrainedConfig
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer, LinearAttentionLayer

_LEAST_ROOM = 64
"""Tokens: short responses never copy their buffers."""


class PreallocatedLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """Full-attention keys and values in buffers that grow by doubling, up to `capacity` tokens.

    `DynamicLayer` copies all keys for each new token; here a token is written in place. `keys` and
    `values` are views of the used part, `[rows, heads, tokens, head_dim]`.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._capacity = capacity
        self._key_buffer = torch.empty(0)
        self._value_buffer = torch.empty(0)

    @property
    def reserved(self) -> int:
        """Tokens of a row that the buffers have room for."""
        return self._key_buffer.shape[-2] if self._key_buffer.numel() else 0

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append the states of the new tokens, `[rows, heads, new, head_dim]`; return all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        if end > self.reserved:
            room = self._room(end)
            self._key_buffer = _grown(self.keys, key_states, start, room)
            self._value_buffer = _grown(self.values, value_states, start, room)
        self._key_buffer[:, :, start:end] = key_states
        self._value_buffer[:, :, start:end] = value_states
        self.keys = self._key_buffer[:, :, :end]
        self.values = self._value_buffer[:, :, :end]
        return self.keys, self.values

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        """Keep (and repeat) the rows named, copied once into buffers with room for the next tokens."""
        self.renew(beam_idx, 0, self._capacity)

    def renew(self, rows: torch.Tensor, start: int, capacity: int) -> None:
        """Keep (and repeat) the rows named, without their first `start` tokens, and a new capacity."""
        self._capacity = capacity
        length = self.get_seq_length() - start
        if self.keys is None or self.values is None or length <= 0:
            return
        room = self._room(length)
        self._key_buffer, self.keys = _gathered(self.keys[:, :, start:], rows, room)
        self._value_buffer, self.values = _gathered(self.values[:, :, start:], rows, room)

    def join(self, other: "PreallocatedLayer", rows: torch.Tensor) -> None:
        """Append these rows of another layer, which holds no more tokens, with the last tokens in line."""
        length, new = self.get_seq_length(), other.get_seq_length()
        room = self._room(length)
        self._key_buffer, self.keys = _joined(
            self._key_buffer[:, :, :length], other._key_buffer[:, :, :new], rows, room
        )
        self._value_buffer, self.values = _joined(
            self._value_buffer[:, :, :length], other._value_buffer[:, :, :new], rows, room
        )

    def _room(self, used: int) -> int:
        """Tokens that a new buffer holds, of which so many are used."""
        return max(used, min(max(2 * used, _LEAST_ROOM), self._capacity))


def _gathered(states: torch.Tensor, rows: torch.Tensor, room: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A buffer of `room` tokens that begins with these rows of the states, and the view of that part."""
    _, heads, length, head_dim = states.shape
    buffer = states.new_empty(len(rows), heads, room, head_dim)
    used = buffer[:, :, :length]
    torch.index_select(states, 0, rows.to(states.device), out=used)
    return buffer, used


def _joined(
    running: torch.Tensor, new: torch.Tensor, rows: torch.Tensor, room: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """A buffer of `room` tokens that begins with the running states and these rows of the new ones.

    The padding of the new rows is zero: masked keys count with weight 0, which garbage may not survive.
    """
    kept, heads, length, head_dim = running.shape
    buffer = running.new_empty(kept + len(rows), heads, room, head_dim)
    used = buffer[:, :, :length]
    used[:kept] = running
    used[kept:, :, : length - new.shape[2]] = 0
    used[kept:, :, length - new.shape[2] :] = new[rows]
    return buffer, used


def _grown(used: torch.Tensor | None, like: torch.Tensor, length: int, capacity: int) -> torch.Tensor:
    """A buffer of `capacity` tokens that begins with the `length` tokens used so far."""
    rows, heads, _, head_dim = like.shape
    buffer = like.new_empty(rows, heads, capacity, head_dim)
    if used is not None and length:
        buffer[:, :, :length] = used
    return buffer


def new_cache(config: PreTrainedConfig, capacity: int) -> Cache:
    """An empty cache for sequences of up to `capacity` tokens.

    Sliding and recurrent layers keep transformers' own classes.
    """
    cache = DynamicCache(config=config)
    cache.layers = [
        PreallocatedLayer(capacity) if type(layer) is DynamicLayer else layer for layer in cache.layers
    ]
    return cache


def select_rows(cache: Cache, rows: torch.Tensor) -> None:
    """Make row `i` of every layer, recurrent ones too, what was row `rows[i]`; rows may repeat."""
    cache.reorder_cache(rows)  # type: ignore[arg-type]


def renew(cache: Cache, rows: torch.Tensor, start: int, capacity: int) -> None:
    """Keep these rows without their first `start` tokens, which are padding, and a new capacity."""
    for layer in cache.layers:
        if isinstance(layer, PreallocatedLayer):
            layer.renew(rows, start, capacity)
        else:
            layer.reorder_cache(rows)  # type: ignore[arg-type]


def join(cache: Cache, other: Cache, rows: torch.Tensor) -> None:
    """Append these rows of the other cache, which holds no more tokens, with the last tokens in line."""
    for layer, new in zip(cache.layers, other.layers, strict=True):
        if isinstance(layer, PreallocatedLayer) and isinstance(new, PreallocatedLayer):
            layer.join(new, rows)
        elif isinstance(layer, LinearAttentionLayer) and isinstance(new, LinearAttentionLayer):
            _join_states(layer.conv_states, new.conv_states, rows)
            _join_states(layer.recurrent_states, new.recurrent_states, rows)


_States = dict[int, torch.Tensor | None]


def _join_states(states: _States, new: _States, rows: torch.Tensor) -> None:
    for place, state in states.items():
        joining = new[place]
        if state is not None and joining is not None:
            states[place] = torch.cat([state, joining[rows]])


def can_join(config: PreTrainedConfig) -> bool:
    """Whether caches of this model can be joined; those of sliding windows, for one, cannot."""
    return all(
        type(layer) in (PreallocatedLayer, LinearAttentionLayer) for layer in new_cache(config, 1).layers
    )
