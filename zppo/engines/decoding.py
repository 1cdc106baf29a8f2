"""The decoding loop: shared prefills, then a token for every unfinished row at each step."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import Cache

from zppo.engines.batching import Batch, Queue, Row, Size, Vacancy
from zppo.engines.cache import join, new_cache, renew, select_rows
from zppo.engines.drawing import Drawing, Drawn, begin, joined, left_padded
from zppo.engines.sampling import Sampler

_COMPACT_BELOW = 0.75
"""Finished rows leave the batch when this share is unfinished: each row is then copied a few times at
most, and at most a third of the work is wasted."""


@dataclass
class _Live:
    """The rows that run and what the model knows of them; the first dimension is the row.

    Every row's newest token is in the last column used, so that a shorter row is padded on the left.
    """

    drawing: Drawing
    cache: Cache
    mask: Tensor | None
    """`[rows, capacity]`, or `[rows, 1, 1, capacity]` as the kernel takes it, 0 where a row is padded; None
    where none is."""
    used: int
    """Columns of the cache that hold tokens."""
    capacity: int
    """Columns of the cache at most."""
    vacancy: Vacancy
    staggered: bool = False
    """Whether rows began at different times."""

    @property
    def full(self) -> bool:
        """Whether columns that are padding for all rows must be given up before the next token."""
        return self.used == self.capacity


class Decoder:
    """Draws responses from a model that is in evaluation mode."""

    def __init__(self, model: PreTrainedModel, sampler: Sampler, eos_ids: Sequence[int]) -> None:
        """Prepare to draw.

        Args:
            model: in evaluation mode.
            sampler: draws the tokens.
            eos_ids: tokens that end a response.
        """
        self._model = model
        self._sampler = sampler
        self._eos_ids = frozenset(eos_ids)
        self._eos = torch.tensor(eos_ids, device=model.device)

    def decode(self, queue: Queue) -> Iterator[tuple[Row, Drawn]]:
        """Draw all responses of the queue and hand on each when it leaves; no prompt is empty."""
        while rows := queue.admit(()):
            yield from self._run(self._begin(Batch(rows)), queue)

    def _run(self, live: _Live, queue: Queue) -> Iterator[tuple[Row, Drawn]]:
        """Draw until no row is left."""
        while True:
            remaining = int(live.drawing.unfinished.sum())
            live.vacancy.pass_step(remaining)
            admits = queue.may_join and live.vacancy.ripe
            if remaining <= _COMPACT_BELOW * len(live.drawing.rows) or live.full or admits:
                yield from live.drawing.finished(self._eos_ids)
                if remaining == 0:
                    return
                kept = live.drawing.unfinished.nonzero().squeeze(1)
                live.drawing.select(kept)
                new = queue.admit(live.drawing.rows) if admits else ()
                self._renew(live, kept, new)
                if admits:
                    live.vacancy = Vacancy(len(live.drawing.rows))
            live.drawing.draw(self._advance(live), self._sampler, self._eos)

    def _begin(self, batch: Batch) -> _Live:
        """Prefill, give every row a copy of its prompt's cache, and draw the first tokens."""
        used, capacity = batch.size.prompt, batch.size.columns
        drawing, cache = self._prefill(batch, capacity)
        select_rows(cache, self._owners(batch))
        mask = self._ready(_mask(drawing.positions, used, capacity))
        return _Live(drawing, cache, mask, used, capacity, Vacancy(len(batch.rows)))

    def _renew(self, live: _Live, kept: Tensor, new: tuple[Row, ...]) -> None:
        """Bring the cache to the rows that were kept, and let new ones join them.

        The copy that this takes also gives up the columns that are padding for all rows, but not before
        any row has joined: the results of a call that fits into the memory are those without any joining.

        Args:
            live: whose drawing already has but the rows kept.
            kept: `[rows]`, places of these rows before.
            new: those that join.
        """
        if new:
            live.staggered, live.capacity = True, Size().beside(live.drawing.rows + new).columns
        start = live.used - int(live.drawing.positions.max()) if live.staggered else 0
        renew(live.cache, kept, start, live.capacity)
        live.used -= start
        if new:
            self._join(live, Batch(new))
        if live.staggered:
            live.mask = self._ready(_mask(live.drawing.positions, live.used, live.capacity))
        elif live.mask is not None:
            live.mask = live.mask[kept]
            if bool(live.mask[..., : live.used].all()):
                live.mask = None

    def _join(self, live: _Live, batch: Batch) -> None:
        drawing, cache = self._prefill(batch, batch.size.prompt)
        join(live.cache, cache, self._owners(batch))
        live.drawing = joined(live.drawing, drawing)

    def _ready(self, mask: Tensor | None) -> Tensor | None:
        """The mask as the kernel takes it, where that is known: else the model makes it for every token."""
        if mask is None or self._model.config._attn_implementation != "sdpa":
            return mask
        return mask[:, None, None].bool()

    def _prefill(self, batch: Batch, capacity: int) -> tuple[Drawing, Cache]:
        """Run each prompt once and draw the first token of each row.

        Args:
            batch: the rows.
            capacity: columns of the cache at most.

        Returns:
            The rows, and the cache of the prompts, one row a prompt.
        """
        prompts, lengths = left_padded(batch.prompts, self._model.device)
        width = prompts.shape[1]
        columns = torch.arange(width, device=prompts.device)
        cache = new_cache(self._model.config, capacity)
        output = self._model(
            input_ids=prompts,
            attention_mask=_mask(lengths, width, width),
            position_ids=(columns - (width - lengths)[:, None]).clamp_min(0),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        drawing = begin(batch, prompts.device)
        drawing.draw(output.logits[:, -1][self._owners(batch)], self._sampler, self._eos)
        return drawing, cache

    def _advance(self, live: _Live) -> Tensor:
        """Feed the token drawn last; the logits of the next one, `[rows, vocabulary]`."""
        live.used += 1
        output = self._model(
            input_ids=live.drawing.last[:, None],
            attention_mask=None if live.mask is None else live.mask[..., : live.used],
            position_ids=live.drawing.positions[:, None],
            past_key_values=live.cache,
            use_cache=True,
        )
        logits: Tensor = output.logits[:, -1]
        return logits

    def _owners(self, batch: Batch) -> Tensor:
        return torch.tensor(batch.owners, device=self._model.device)


def _mask(tokens: Tensor, used: int, capacity: int) -> Tensor | None:
    """`[rows, capacity]`, 0 where a row is padded; None where none is.

    Args:
        tokens: `[rows]` in the cache.
        used: columns that hold tokens.
        capacity: columns at most.
    """
    if not bool((tokens < used).any()):
        return None
    columns = torch.arange(capacity, device=tokens.device)
    return (columns >= used - tokens[:, None]).long()
