"""Which responses are decoded together, and when those that wait join them."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from zppo.ports import GenerationRequest

_LEAST_FREE = 0.25
"""Share of a batch's rows: fewer do not pay for a copy of the others."""
_PATIENCE = 4.0
"""Steps of a batch. Measured: without, rows join just before a last straggler ends; 8 lose half the gain."""


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
class Size:
    """What rows that are decoded together reserve of the key-value cache, padding included."""

    rows: int = 0
    prompt: int = 0
    """Tokens of the longest prompt."""
    limit: int = 0
    """Most tokens of any response."""

    @property
    def columns(self) -> int:
        """Tokens of a row."""
        return self.prompt + self.limit

    @property
    def tokens(self) -> int:
        """Tokens of all rows."""
        return self.rows * self.columns

    def beside(self, rows: Sequence[Row]) -> "Size":
        """The size with these rows, too."""
        return Size(
            self.rows + len(rows),
            max([self.prompt, *(len(row.prompt_ids) for row in rows)]),
            max([self.limit, *(row.limit for row in rows)]),
        )


@dataclass(frozen=True)
class Batch:
    """Responses that begin together; those of one request are neighbours and share its prefill."""

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

    @cached_property
    def size(self) -> Size:
        """What these rows reserve without others beside them."""
        return Size().beside(self.rows)


@dataclass(frozen=True)
class Company:
    """Which rows may be decoded together."""

    max_tokens: int
    """Bound on the key-value cache; one row that alone is longer is decoded alone."""
    padding: bool = True
    """Whether prompts of different lengths may share a batch."""
    joining: bool = True
    """Whether rows may join others that have begun; only where padding is allowed."""


class Queue:
    """Responses that wait to be decoded, longest prompts first.

    Who joins later thus fits into the columns that the running rows use. A request's responses stay
    together where they fit, so that its prompt is prefilled once.
    """

    def __init__(
        self, requests: Sequence[GenerationRequest], limits: Sequence[int], company: Company
    ) -> None:
        """Line up the responses.

        Args:
            requests: those to answer.
            limits: most response tokens of each request; a request with limit 0 is left out.
            company: which rows may be decoded together.
        """
        self._company = company
        order = sorted(
            (place for place, limit in enumerate(limits) if limit > 0),
            key=lambda place: (-len(requests[place].prompt_ids), place),
        )
        groups = (_rows(place, requests[place], limits[place]) for place in order)
        self._waiting = deque(part for group in groups for part in _parts(group, company.max_tokens))

    @property
    def may_join(self) -> bool:
        """Whether any waits that need not wait for the running rows to end."""
        return self._company.joining and bool(self._waiting)

    def admit(self, running: Sequence[Row]) -> tuple[Row, ...]:
        """Take the next rows that may be decoded beside those running; where none runs, there are some."""
        if running and not self.may_join:
            return ()
        count = fitting(Size().beside(running), self._waiting, self._company)
        return tuple(row for _ in range(count) for row in self._waiting.popleft())


@dataclass
class Vacancy:
    """How long room of a running batch has been free.

    To join costs a prefill and a copy of the cache, and those who join are padded to the longest row that
    still runs; to wait costs steps that are not shared out among more rows. Neither is known to be less
    beforehand, so rows join when waiting has cost about as much as joining will.
    """

    seats: int
    """Rows that ran after the last admission."""
    lost: float = 0.0
    """Steps of the whole batch that the free seats since then amount to."""
    free: float = 0.0
    """Share of the seats."""

    def pass_step(self, taken: int) -> None:
        """A step in which so many seats are taken."""
        self.free = 1 - taken / self.seats
        self.lost += self.free

    @property
    def ripe(self) -> bool:
        """Whether it is time to admit."""
        return self.free >= _LEAST_FREE and self.lost >= _PATIENCE


def fitting(running: Size, waiting: Iterable[Sequence[Row]], company: Company) -> int:
    """How many of the waiting groups, in their order, may be decoded beside the running rows."""
    count = 0
    for group in waiting:
        together = running.beside(group)
        same_length = running.prompt == len(group[0].prompt_ids)
        if running.rows and not (company.padding or same_length):
            break
        if running.rows and together.tokens > company.max_tokens:
            break
        running, count = together, count + 1
    return count


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
