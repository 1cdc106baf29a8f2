"""Adapters of the port `Compressor`: extractive, and by the teacher model."""

from collections.abc import Callable, Sequence
from string import Template

from schemas.config.models import DecodingConfig
from schemas.config.teacher import ExtractiveCompression, TeacherCompression
from schemas.rollout import Compression
from zppo.core.answers import last_box
from zppo.core.compress import shorten
from zppo.core.prompts import neutralise
from zppo.core.values import Original
from zppo.ports import Generation, GenerationRequest, RolloutEngine, Shortened
from zppo.rendering import load_template
from zppo.teachers.tags import last_inside


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
        engine: RolloutEngine,
        decoding: DecodingConfig,
        template: Template,
        count_tokens: Callable[[str], int],
    ):
        """Keep the engine of the teacher.

        Args:
            config: The limits, in lines and in the student's tokens.
            engine: Holds the teacher's weights.
            decoding: How summaries are sampled.
            template: The prompt, with `$response`.
            count_tokens: Length of a text in the student's tokens.
        """
        self._config = config
        self._engine = engine
        self._decoding = decoding
        self._template = template
        self._count_tokens = count_tokens

    def compress(self, originals: Sequence[Original], seeds: Sequence[int]) -> list[Shortened]:
        """A summary of each response, a precomputed one where there is one.

        The teacher failed where tags are missing, the box is another, or a limit is exceeded.
        """
        missing = [index for index, original in enumerate(originals) if original.summary is None]
        summaries = [Shortened(original.summary) for original in originals]
        requests = [
            GenerationRequest(f"compress#{i}", self._prompt(originals[i]), (seeds[i],)) for i in missing
        ]
        drawn = self._engine.generate(requests, self._decoding) if requests else []
        for index, (response,) in zip(missing, drawn, strict=True):
            if isinstance(response, Generation):
                checked = self._checked(response.text, originals[index])
                summaries[index] = Shortened(checked, len(response.token_ids))
        return summaries

    def _prompt(self, original: Original) -> tuple[int, ...]:
        return self._engine.encode(self._template.substitute(response=neutralise(original.text)))

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
