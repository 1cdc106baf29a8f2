"""Rows of one prompt in one sequence, so that the prompt is encoded once for several responses."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from zppo.ports import TrainingRow

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_ATTENTION = {"full_attention", "sliding_attention"}


@dataclass(frozen=True)
class Pack:
    """Responses to one prompt: the sequence `[prompt, response 1, …, response k]`.

    A response sees the prompt and itself, and its positions go on from the prompt's.
    """

    places: tuple[int, ...]
    """Of the rows among those that were packed."""
    rows: tuple[TrainingRow, ...]

    @property
    def prompt_ids(self) -> tuple[int, ...]:
        """The prompt that the rows share."""
        return self.rows[0].prompt_ids

    @property
    def shared(self) -> bool:
        """Whether several rows share it, so that it needs a mask."""
        return len(self.rows) > 1

    @property
    def length(self) -> int:
        """Tokens that go through the model; the last one of a response predicts nothing."""
        return len(self.prompt_ids) + sum(map(inputs, self.rows))


@dataclass(frozen=True)
class Sharing:
    """What packing costs on a model that admits it.

    The arithmetic of a sequence of L tokens is in proportion to `L * (reach + L)` under a pack's dense mask
    and to `L * (reach + L / 2)` under the plain causal one, which skips the half that it hides.
    """

    reach: float
    """Multiplications of a token in the weights of all layers over those of attending to one other token."""
    longest: int
    """Most tokens of a pack."""

    def cost(self, length: int, shared: bool) -> float:
        """Arithmetic of a sequence of so many tokens."""
        return length * (self.reach + (length if shared else length / 2))

    def pays(self, pack: Pack, row: TrainingRow) -> bool:
        """Whether a row costs less as one more response of the pack than on its own."""
        joined, alone = pack.length + inputs(row), len(row.prompt_ids) + inputs(row)
        apart = self.cost(pack.length, pack.shared) + self.cost(alone, False)
        return joined <= self.longest and self.cost(joined, True) < apart


def inputs(row: TrainingRow) -> int:
    """Tokens of a response that go through the model."""
    return max(0, len(row.response_ids) - 1)


def sharing_of(model: "PreTrainedModel", max_tokens: int) -> Sharing | None:
    """How far rows of one prompt may share a sequence; None where the architecture does not allow it.

    It takes attention alone, which obeys a mask given to it (`sdpa`), and rotary positions. A layer with a
    state passes it on from response to response, whatever the mask; a sliding window would have to be part of
    the mask, so packs stay within it.

    Args:
        model: By its configuration, not by its name.
        max_tokens: Most tokens of a micro-batch.
    """
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    masked = config._attn_implementation == "sdpa" and kinds <= _ATTENTION
    if not masked or model._is_stateful or not getattr(config, "rope_parameters", None):
        return None
    heads = config.num_attention_heads
    width = heads * (getattr(config, "head_dim", None) or config.hidden_size // heads)
    embeddings = model.get_input_embeddings().get_parameter("weight").numel()
    weights = sum(each.numel() for each in model.base_model.parameters()) - embeddings
    reach = weights / (2 * config.num_hidden_layers * width)
    return Sharing(reach, min(max_tokens, getattr(config, "sliding_window", None) or max_tokens))


def response_tokens(rows: Sequence[TrainingRow]) -> int:
    """Those of all responses."""
    return sum(len(row.response_ids) for row in rows)


def rows_of(packs: Sequence[Pack]) -> tuple[TrainingRow, ...]:
    """All rows, pack after pack."""
    return tuple(chain.from_iterable(each.rows for each in packs))


def pack(rows: Sequence[TrainingRow], sharing: Sharing | None) -> list[Pack]:
    """The rows in packs, one each without sharing; their order has no influence as long as names differ."""
    packs: dict[tuple[int, ...], list[Pack]] = {}
    for place in sorted(
        range(len(rows)), key=lambda place: (len(rows[place].response_ids), rows[place].rollout)
    ):
        row, same = rows[place], packs.setdefault(rows[place].prompt_ids, [])
        if same and sharing is not None and sharing.pays(same[-1], row):
            same[-1] = Pack((*same[-1].places, place), (*same[-1].rows, row))
        else:
            same.append(Pack((place,), (row,)))
    return list(chain.from_iterable(packs.values()))
