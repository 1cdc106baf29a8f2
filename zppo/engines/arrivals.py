"""The responses of one call, as they come."""

from collections.abc import Sequence

from zppo.ports import Finished, Generation, GenerationFailure, GenerationRequest


class Arrivals:
    """Holds the responses of all requests, and tells of each request when its last one has come."""

    def __init__(self, requests: Sequence[GenerationRequest], finished: Finished | None) -> None:
        self._finished = finished
        self._responses: list[dict[int, Generation | GenerationFailure]] = [{} for _ in requests]
        self._wanted = [len(request.seeds) for request in requests]

    def add(self, place: int, index: int, response: Generation | GenerationFailure) -> None:
        """Take response `index` of the request at `place`; each comes once."""
        self._responses[place][index] = response
        if self._finished is not None and len(self._responses[place]) == self._wanted[place]:
            self._finished(place, self._of(place))

    def all(self) -> list[tuple[Generation | GenerationFailure, ...]]:
        """The responses of every request, in the order of its seeds; all must have come."""
        return [self._of(place) for place in range(len(self._wanted))]

    def _of(self, place: int) -> tuple[Generation | GenerationFailure, ...]:
        return tuple(self._responses[place][index] for index in range(self._wanted[place]))
