"""Text to tokens and back, through a model's chat template."""

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from zppo.errors import InputError


class ChatTokenizer:
    """A tokenizer that renders one user message at a time.

    Raises:
        InputError: the tokenizer has no chat template.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, enable_thinking: bool | None = None) -> None:
        if not tokenizer.chat_template:
            raise InputError(
                f"the tokenizer of {tokenizer.name_or_path or 'the model'} has no chat template; use an "
                "instruction-tuned checkpoint, or put a chat_template.jinja beside its tokenizer.json"
            )
        self.tokenizer = tokenizer
        self._switches: dict[str, Any] = (
            {} if enable_thinking is None else {"enable_thinking": enable_thinking}
        )

    @property
    def eos_id(self) -> int | None:
        """The tokenizer's own end-of-sequence token, if it has one."""
        eos_id: int | None = self.tokenizer.eos_token_id
        return eos_id

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of a user message inside the chat template, ready to be answered."""
        message = [{"role": "user", "content": text}]
        ids = self.tokenizer.apply_chat_template(
            message, add_generation_prompt=True, tokenize=True, return_dict=False, **self._switches
        )
        return tuple(ids)

    def tokenize(self, text: str) -> tuple[int, ...]:
        """Token ids of bare text."""
        return tuple(self.tokenizer.encode(text, add_special_tokens=False))

    def count_tokens(self, text: str) -> int:
        """Length of bare text in tokens."""
        return len(self.tokenize(text))

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of a response, special tokens left out."""
        return str(self.tokenizer.decode(list(token_ids), skip_special_tokens=True))
