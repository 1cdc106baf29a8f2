"""A compressor that keeps the first words."""

from collections.abc import Callable, Sequence

from schemas.rollout import Compression
from zppo.core.answers import boxed
from zppo.core.values import Original
from zppo.ports import Shortened


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

    def compress(self, originals: Sequence[Original], seeds: Sequence[int]) -> list[Shortened]:
        """One text each, none where this text fails; a word of it is a token."""
        self.originals.extend(originals)
        self.seeds.extend(seeds)
        return [self._shortened(original) for original in originals]

    def _shortened(self, original: Original) -> Shortened:
        if self._fails(original.text):
            return Shortened(None)
        text = first_words(original, self._kind)
        return Shortened(text, len(text.split()))
