"""The decoding loop: one shared prefill, then a token for every unfinished row at each step."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import Cache

from schemas.rollout import StopReason
from zppo.engines.batching import Batch
from zppo.engines.cache import new_cache, select_rows
from zppo.engines.sampling import Sampler, uniforms

_COMPACT_BELOW = 0.75
"""Finished rows leave the batch when this share is unfinished: each row is then copied a few times at
most, and at most a third of the work is wasted."""


@dataclass(frozen=True)
class Drawn:
    """One response as the loop leaves it."""

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    stop: StopReason | None
    """None where the logits stopped being numbers; the last token is then meaningless."""


@dataclass
class _Live:
    """What the rows still in the batch need for their next token; the first dimension is the row."""

    place: Tensor
    """`[rows]`: place in the batch as planned."""
    unfinished: Tensor
    """`[rows]`, boolean."""
    prompts: Tensor
    """`[rows, width]`, left-padded with each prompt's own first token."""
    lengths: Tensor
    """`[rows]`: tokens of the prompt."""
    mask: Tensor | None
    """`[rows, width + limit]`, 0 where the prompt is padded; None where no prompt is."""
    logits: Tensor
    """`[rows, vocabulary]` of the next token."""
    cache: Cache

    def select(self, rows: Tensor) -> None:
        """Make row `i` what was row `rows[i]`; rows may repeat."""
        self.place, self.unfinished = self.place[rows], self.unfinished[rows]
        self.prompts, self.lengths = self.prompts[rows], self.lengths[rows]
        self.mask = None if self.mask is None else self.mask[rows]
        self.logits = self.logits[rows]
        select_rows(self.cache, rows)


def decode(
    model: PreTrainedModel, batch: Batch, sampler: Sampler, eos_ids: Sequence[int], window: int
) -> list[Drawn]:
    """Draw the responses of a batch, in the order of its rows.

    Args:
        model: in evaluation mode.
        batch: the rows; no prompt is empty.
        sampler: draws the tokens.
        eos_ids: tokens that end a response.
        window: positions that the model knows.
    """
    device = model.device
    live = _prefill(model, batch)
    uniform = torch.from_numpy(uniforms([row.seed for row in batch.rows], batch.limit)).to(device)
    limits = torch.tensor([row.limit for row in batch.rows], device=device)
    eos = torch.tensor(eos_ids, device=device)
    token_ids = torch.zeros(len(batch.rows), batch.limit, dtype=torch.long, device=device)
    logprobs = torch.zeros(len(batch.rows), batch.limit, dtype=torch.float64, device=device)
    counts = torch.zeros_like(limits)
    for step in range(batch.limit):
        place = live.place
        tokens, drawn = sampler.draw(live.logits, live.prompts, token_ids[place, :step], uniform[place, step])
        token_ids[place, step], logprobs[place, step] = tokens, drawn
        counts[place] += live.unfinished
        ended = torch.isin(tokens, eos) | ~drawn.isfinite() | (limits[place] <= step + 1)
        live.unfinished = live.unfinished & ~ended
        remaining = int(live.unfinished.sum())
        if remaining == 0:
            break
        if remaining <= _COMPACT_BELOW * len(tokens):
            kept = live.unfinished.nonzero().squeeze(1)
            live.select(kept)
            tokens = tokens[kept]
        _advance(model, live, tokens, step, window)
    return _collect(token_ids, logprobs, counts, frozenset(eos_ids))


def _prefill(model: PreTrainedModel, batch: Batch) -> _Live:
    """Run each prompt once, then give every row a copy of its prompt's cache."""
    prompts, lengths = _left_padded(batch.prompts, model.device)
    width = prompts.shape[1]
    columns = torch.arange(width + batch.limit, device=model.device)
    mask = (columns >= width - lengths[:, None]).long() if bool((lengths < width).any()) else None
    positions = (columns[:width] - (width - lengths)[:, None]).clamp_min(0)
    cache = new_cache(model.config, width + batch.limit)
    output = model(
        input_ids=prompts,
        attention_mask=None if mask is None else mask[:, :width],
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    live = _Live(
        place=torch.zeros_like(lengths),
        unfinished=torch.ones_like(lengths, dtype=torch.bool),
        prompts=prompts,
        lengths=lengths,
        mask=mask,
        logits=output.logits[:, -1],
        cache=cache,
    )
    live.select(torch.tensor(batch.owners, device=model.device))
    live.place = torch.arange(len(batch.rows), device=model.device)
    return live


def _left_padded(prompts: Sequence[tuple[int, ...]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Token ids `[prompts, width]` and lengths `[prompts]`.

    A prompt is padded with its own first token: no padding token is needed, and penalties that look at
    the ids see none that the prompt does not hold.
    """
    width = max(map(len, prompts))
    padded = [(prompt[0],) * (width - len(prompt)) + prompt for prompt in prompts]
    lengths = [len(prompt) for prompt in prompts]
    return torch.tensor(padded, device=device), torch.tensor(lengths, device=device)


def _advance(model: PreTrainedModel, live: _Live, tokens: Tensor, step: int, window: int) -> None:
    """Feed the token drawn at `step` and keep the logits of the next one."""
    used = live.prompts.shape[1] + step + 1
    # A finished row that is still in the batch may have left the window.
    positions = (live.lengths + step).clamp_max(window - 1)
    output = model(
        input_ids=tokens[:, None],
        attention_mask=None if live.mask is None else live.mask[:, :used],
        position_ids=positions[:, None],
        past_key_values=live.cache,
        use_cache=True,
    )
    live.logits = output.logits[:, -1]


def _collect(token_ids: Tensor, logprobs: Tensor, counts: Tensor, eos_ids: frozenset[int]) -> list[Drawn]:
    """Cut each row to its length and say why it ended."""
    # Rounded to what a round stores, so that a resumed update reads just what the first one saw.
    rows = zip(token_ids.tolist(), logprobs.float().tolist(), counts.tolist(), strict=True)
    return [_drawn(ids[:count], values[:count], eos_ids) for ids, values, count in rows]


def _drawn(token_ids: list[int], logprobs: list[float], eos_ids: frozenset[int]) -> Drawn:
    stop: StopReason | None = "eos" if token_ids[-1] in eos_ids else "length"
    if not isfinite(logprobs[-1]):
        stop = None
    return Drawn(tuple(token_ids), tuple(logprobs), stop)
