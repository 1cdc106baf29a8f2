"""A compressor that keeps the first words."""

from collections.abc import Callable, Sequence

from schemas.rollout import Compression
from zppo.core.answers import boxed
from zppo.core.values import Original


def first_words(original: Original, label: str, count: int = 4) -> str:
    """The label, the first words, and the boxed answer where there is one."""
    words = [label, *original.text.split()[:count]]
    return " ".join([*words, boxed(original.answer)] if original.answer is not None else words)


class FirstWords:
    """`Compressor` whose texts begin with the way in which it shortens; fails where it is told to."""

    def __init__(self, kind: Compression, fails: Callable[[str], bool] = lambda text: False) -> None:
        self._kind = kind
        self._fails = fails
        self.originals: list[Original] = []
        """Everything it was asked to shorten, in order."""
        self.seeds: list[int] = []
        """The seed of each."""

    @property
    def kind(self) -> Compression:
        """As asked for at the start."""
        return self._kind

    def compress(self, originals: Sequence[Original], seeds: Sequence[int]) -> list[str | None]:
        """One text each, None where this text fails."""
        self.originals.extend(originals)
        self.seeds.extend(seeds)
        return [None if self._fails(each.text) else first_words(each, self._kind) for each in originals]
