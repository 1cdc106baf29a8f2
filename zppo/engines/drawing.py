"""The responses of a running batch as far as they are drawn; each row counts its own steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor

from schemas.rollout import StopReason
from zppo.engines.batching import Batch, Row
from zppo.engines.sampling import Sampler, uniforms


@dataclass(frozen=True)
class Drawn:
    """One response as the loop leaves it."""

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    stop: StopReason | None
    """None where the logits stopped being numbers; the last token is then meaningless."""


@dataclass
class Drawing:
    """What the rows of a batch need to draw their next tokens; the first dimension is the row.

    A finished row is drawn on until it leaves, into the column after its last token: there is always one.
    """

    rows: tuple[Row, ...]
    prompts: Tensor
    """`[rows, width]`, left-padded with each prompt's own first token."""
    lengths: Tensor
    """`[rows]`: tokens of the prompt."""
    limits: Tensor
    """`[rows]`: most tokens of the response."""
    uniform: Tensor
    """`[rows, limit + 1]` in [0, 1): one number a token."""
    token_ids: Tensor
    """`[rows, limit + 1]`; what is not drawn yet repeats the first token, so that penalties see none that the
    response does not hold."""
    logprobs: Tensor
    """`[rows, limit + 1]`."""
    counts: Tensor
    """`[rows]`: tokens of the response so far."""
    unfinished: Tensor
    """`[rows]`, boolean."""
    longest: int
    """No row has more tokens."""

    @property
    def last(self) -> Tensor:
        """The token drawn last, `[rows]`; any, of a finished row."""
        return self.token_ids.gather(1, (self.counts - 1)[:, None]).squeeze(1)

    @property
    def positions(self) -> Tensor:
        """Of the token drawn last, `[rows]`: the tokens before it, which the cache holds."""
        return self.lengths + self.counts - 1

    def draw(self, logits: Tensor, sampler: Sampler, eos: Tensor) -> None:
        """Draw a token for every row.

        Args:
            logits: `[rows, vocabulary]`.
            sampler: draws them.
            eos: tokens that end a response.
        """
        column = self.counts[:, None]
        tokens, logprobs = sampler.draw(
            logits, self.prompts, self.token_ids[:, : self.longest], self.uniform.gather(1, column).squeeze(1)
        )
        if self.longest == 0:
            self.token_ids[:] = tokens[:, None]
        self.token_ids.scatter_(1, column, tokens[:, None])
        self.logprobs.scatter_(1, column, logprobs[:, None])
        self.counts = self.counts + self.unfinished
        ended = torch.isin(tokens, eos) | ~logprobs.isfinite() | (self.counts >= self.limits)
        self.unfinished = self.unfinished & ~ended
        self.longest += 1

    def finished(self, eos_ids: frozenset[int]) -> list[tuple[Row, Drawn]]:
        """The finished rows, each cut to its length."""
        ended = (~self.unfinished).nonzero().squeeze(1)
        # Rounded to what a round stores, so that a resumed update reads just what the first one saw.
        logprobs = self.logprobs[ended, : self.longest].float().tolist()
        token_ids = self.token_ids[ended, : self.longest].tolist()
        rows = zip(ended.tolist(), token_ids, logprobs, self.counts[ended].tolist(), strict=True)
        return [
            (self.rows[place], _drawn(ids[:count], values[:count], eos_ids))
            for place, ids, values, count in rows
        ]

    def select(self, rows: Tensor) -> None:
        """Make row `i` what was row `rows[i]`."""
        self.rows = tuple(self.rows[place] for place in rows.tolist())
        self.prompts, self.lengths, self.limits = self.prompts[rows], self.lengths[rows], self.limits[rows]
        self.uniform, self.token_ids = self.uniform[rows], self.token_ids[rows]
        self.logprobs, self.counts = self.logprobs[rows], self.counts[rows]
        self.unfinished = self.unfinished[rows]


def begin(batch: Batch, device: torch.device) -> Drawing:
    """The rows of a batch, nothing drawn yet."""
    limits = torch.tensor([row.limit for row in batch.rows], device=device)
    shape = (len(batch.rows), batch.size.limit + 1)
    owners = torch.tensor(batch.owners, device=device)
    prompts, lengths = left_padded(batch.prompts, device)
    return Drawing(
        rows=batch.rows,
        prompts=prompts[owners],
        lengths=lengths[owners],
        limits=limits,
        uniform=torch.from_numpy(uniforms([row.seed for row in batch.rows], shape[1])).to(device),
        token_ids=torch.zeros(shape, dtype=torch.long, device=device),
        logprobs=torch.zeros(shape, dtype=torch.float64, device=device),
        counts=torch.zeros_like(limits),
        unfinished=torch.ones_like(limits, dtype=torch.bool),
        longest=0,
    )


def joined(running: Drawing, new: Drawing) -> Drawing:
    """Both, the running rows first.

    Args:
        running: none finished.
        new: with no longer prompts, and the first tokens drawn.
    """
    width, limit = running.prompts.shape[1], max(each.token_ids.shape[1] for each in (running, new))
    return Drawing(
        rows=running.rows + new.rows,
        prompts=torch.cat([running.prompts, _widened(new.prompts, width, left=True)]),
        lengths=torch.cat([running.lengths, new.lengths]),
        limits=torch.cat([running.limits, new.limits]),
        uniform=torch.cat([_widened(each.uniform, limit) for each in (running, new)]),
        token_ids=torch.cat([_widened(each.token_ids, limit) for each in (running, new)]),
        logprobs=torch.cat([_widened(each.logprobs, limit) for each in (running, new)]),
        counts=torch.cat([running.counts, new.counts]),
        unfinished=torch.cat([running.unfinished, new.unfinished]),
        longest=max(int(running.counts.max()), new.longest),
    )


def left_padded(prompts: Sequence[tuple[int, ...]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Token ids `[prompts, width]` and lengths `[prompts]`.

    A prompt is padded with its own first token: no padding token is needed, and penalties that look at
    the ids see none that the prompt does not hold.
    """
    width = max(map(len, prompts))
    padded = [(prompt[0],) * (width - len(prompt)) + prompt for prompt in prompts]
    lengths = [len(prompt) for prompt in prompts]
    return torch.tensor(padded, device=device), torch.tensor(lengths, device=device)


def _widened(values: Tensor, width: int, left: bool = False) -> Tensor:
    """`[rows, width]`, on the right or left filled up with each row's first value."""
    filling = values[:, :1].expand(-1, width - values.shape[1])
    return torch.cat([filling, values] if left else [values, filling], dim=1)


def _drawn(token_ids: list[int], logprobs: list[float], eos_ids: frozenset[int]) -> Drawn:
    stop: StopReason | None = "eos" if token_ids[-1] in eos_ids else "length"
    if not isfinite(logprobs[-1]):
        stop = None
    return Drawn(tuple(token_ids), tuple(logprobs), stop)
