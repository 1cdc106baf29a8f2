"""The text of each token of a response."""

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream


class TokenTexts:
    """Cuts responses into their tokens' texts, by a tokenizer of the run."""

    def __init__(self, file: Path | None) -> None:
        """Read a `tokenizer.json`; without one there are no pieces."""
        self._tokenizer = Tokenizer.from_file(str(file)) if file else None

    def pieces(self, token_ids: Sequence[int], after: Sequence[int] = ()) -> tuple[str, ...]:
        """One text a token, special tokens included; a token that ends inside a character gets none.

        Args:
            token_ids: To cut.
            after: The tokens before them, such as a forced prefix: they decide about blanks.
        """
        if self._tokenizer is None:
            return ()
        stream = DecodeStream(skip_special_tokens=False)
        texts = [stream.step(self._tokenizer, id) or "" for id in (*after, *token_ids)]
        return tuple(texts[len(after) :])
