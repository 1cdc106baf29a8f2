"""Which responses are decoded together."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from zppo.ports import GenerationRequest


@dataclass(frozen=True)
class Row:
    """One response to draw."""

    request: int
    """Place of its request in the call."""
    index: int
    """Place of its seed in the request."""
    prompt_ids: tuple[int, ...]
    seed: int
    limit: int
    """Most tokens of the response."""


@dataclass(frozen=True)
class Batch:
    """Responses decoded together; those of one request are neighbours and share its prefill."""

    rows: tuple[Row, ...]

    @cached_property
    def prompts(self) -> tuple[tuple[int, ...], ...]:
        """The prompt of each request, once."""
        return tuple({row.request: row.prompt_ids for row in self.rows}.values())

    @cached_property
    def owners(self) -> tuple[int, ...]:
        """For each row, the place of its prompt in `prompts`."""
        places = {request: place for place, request in enumerate(dict.fromkeys(r.request for r in self.rows))}
        return tuple(places[row.request] for row in self.rows)

    @property
    def limit(self) -> int:
        """Most tokens of any response."""
        return max(row.limit for row in self.rows)

    @property
    def tokens(self) -> int:
        """Most tokens that the key-value cache of this batch holds, padding included."""
        return len(self.rows) * (max(len(row.prompt_ids) for row in self.rows) + self.limit)


def plan_batches(
    requests: Sequence[GenerationRequest], limits: Sequence[int], max_tokens: int, padding: bool
) -> list[Batch]:
    """Split the responses of all requests into batches, longest prompts first.

    A batch holds at most `max_tokens` tokens, or one row that alone is longer. A request's responses
    stay together where they fit, so that its prompt is prefilled once.

    Args:
        requests: those to answer.
        limits: most response tokens of each request; a request with limit 0 is left out.
        max_tokens: bound on the key-value cache of a batch.
        padding: whether prompts of different lengths may share a batch.
    """
    order = sorted(
        (place for place, limit in enumerate(limits) if limit > 0),
        key=lambda place: (-len(requests[place].prompt_ids), place),
    )
    batches: list[Batch] = []
    for place in order:
        group = _rows(place, requests[place], limits[place])
        for part in _parts(group, max_tokens):
            if batches and _may_join(batches[-1], part, max_tokens, padding):
                batches[-1] = Batch(batches[-1].rows + part)
            else:
                batches.append(Batch(part))
    return batches


def _rows(place: int, request: GenerationRequest, limit: int) -> tuple[Row, ...]:
    return tuple(
        Row(place, index, request.prompt_ids, seed, limit) for index, seed in enumerate(request.seeds)
    )


def _parts(group: tuple[Row, ...], max_tokens: int) -> list[tuple[Row, ...]]:
    """The group whole, or in parts where it is larger than a batch."""
    if not group:
        return []
    size = max(1, max_tokens // (len(group[0].prompt_ids) + group[0].limit))
    return [group[start : start + size] for start in range(0, len(group), size)]


def _may_join(batch: Batch, part: tuple[Row, ...], max_tokens: int, padding: bool) -> bool:
    same_length = len(batch.rows[0].prompt_ids) == len(part[0].prompt_ids)
    return (padding or same_length) and Batch(batch.rows + part).tokens <= max_tokens
