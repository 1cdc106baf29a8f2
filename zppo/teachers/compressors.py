"""Adapters of the port `Compressor`: extractive, and by the teacher model."""

from collections.abc import Callable, Sequence
from string import Template

from schemas.config.teacher import ExtractiveCompression, TeacherCompression
from schemas.rollout import Compression
from zppo.core.answers import last_box
from zppo.core.compress import shorten
from zppo.core.prompts import neutralise
from zppo.core.values import Original
from zppo.ports import Shortened, Text, TextModel, TextRequest
from zppo.rendering import load_template
from zppo.teachers.tags import last_inside
from zppo.teachers.text import ROOM


class ExtractiveCompressor:
    """Keeps the last steps and the boxed answer, of both authors alike; needs no model."""

    kind: Compression = "extractive"

    def __init__(self, config: ExtractiveCompression, count_tokens: Callable[[str], int]):
        self._config = config
        self._count_tokens = count_tokens

    def compress(self, originals: Sequence[Original], seeds: Sequence[int]) -> list[Shortened]:
        """The end of each response; fails where nothing is left of it."""
        return [Shortened(self._end(original.text)) for original in originals]

    def _end(self, text: str) -> str | None:
        return shorten(
            text,
            max_lines=self._config.max_lines,
            max_tokens=self._config.max_tokens,
            count_tokens=self._count_tokens,
        )


class TeacherCompressor:
    """Has the teacher rewrite each response under one prompt; it sees the response only."""

    kind: Compression = "teacher"

    def __init__(
        self,
        config: TeacherCompression,
        model: TextModel,
        template: Template,
        count_tokens: Callable[[str], int],
    ):
        """Keep the teacher's model.

        Args:
            config: The limits, in lines and in the student's tokens.
            model: Writes the summaries.
            template: The prompt, with `$response`.
            count_tokens: Length of a text in the student's tokens.
        """
        self._config = config
        self._model = model
        self._template = template
        self._count_tokens = count_tokens

    def compress(self, originals: Sequence[Original], seeds: Sequence[int]) -> list[Shortened]:
        """A summary of each response, a precomputed one where there is one.

        The teacher failed where tags are missing, the box is another, or a limit is exceeded.
        """
        missing = [index for index, original in enumerate(originals) if original.summary is None]
        summaries = [Shortened(original.summary) for original in originals]
        requests = [TextRequest(f"compress#{i}", self._prompt(originals[i]), (seeds[i],)) for i in missing]
        written = self._model.write(requests, ROOM * self._config.max_tokens)
        for index, (summary,) in zip(missing, written, strict=True):
            if isinstance(summary, Text):
                summaries[index] = Shortened(self._checked(summary.text, originals[index]), summary.tokens)
        return summaries

    def _prompt(self, original: Original) -> str:
        return self._template.substitute(response=neutralise(original.text))

    def _checked(self, text: str, original: Original) -> str | None:
        """The summary inside the tags, ended at its box, if it keeps the answer and both limits."""
        inside = last_inside(text, "summary") or ""
        box = last_box(inside)
        summary = (inside[: box.end] if box else inside).strip()
        kept = (box.content if box else None) == original.answer
        short = (
            len(summary.splitlines()) <= self._config.max_lines
            and self._count_tokens(summary) <= self._config.max_tokens
        )
        return summary if summary and kept and short else None


def load_compression_template(name: str) -> Template:
    """`compress.txt` of a template set, or the general one where the set has none.

    Raises:
        InputError: No such set, or the template's placeholders are not exactly `$response`.
    """
    return load_template(name, "compress", {"response"})
