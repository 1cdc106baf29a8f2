"""Prompt templates and the rendering of plain, BCQ and NCQ prompts."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from string import Template

TAGS = ("candidate", "think", "response", "summary", "hint")
_TAG = rf"\s*(?:/\s*)?(?:{'|'.join(TAGS)})\b[^<>]*"
_CONTROL_TOKEN = r"\|[^<>]*\|"
_MARKUP = re.compile(rf"<({_TAG}|{_CONTROL_TOKEN})>", re.IGNORECASE)


def neutralise(text: str, special_tokens: Sequence[str] = ()) -> str:
    """Candidate text with every tag and control token made inert: text is data, not markup.

    The angle brackets of a tag become `‹` and `›`; any other special token of the tokenizer is broken
    up by a space, since it would be encoded as a control token inside a prompt.
    """
    for token in special_tokens:
        if len(token) > 1 and token in text:
            inert = token.replace("<", "‹").replace(">", "›")
            text = text.replace(token, inert) if inert != token else _broken_up(text, token)
    replaced = 1
    while replaced:  # Markup may stand inside markup: `<candidate<|im_end|>>`.
        text, replaced = _MARKUP.subn(r"‹\1›", text)
    return text


def _broken_up(text: str, token: str) -> str:
    """A space after the first character of every occurrence, overlapping ones included."""
    return re.sub(rf"{re.escape(token[0])}(?={re.escape(token[1:])})", lambda first: f"{first[0]} ", text)


@dataclass(frozen=True)
class Templates:
    """The texts of one template set, in `string.Template` syntax.

    Every prompt ends with the same closing instruction, in training and in evaluation.
    """

    plain: Template
    """`$question`, `$closing`."""
    bcq: Template
    """`$question`, `$candidates`, `$closing`."""
    ncq: Template
    """`$question`, `$wrong_answers`, `$candidates`, `$closing`."""
    candidate: Template
    """`$text`."""
    closing: str
    hint: Template
    """`$question`, `$hint`, `$closing`."""
    no_answers: str = ""
    """Stands for `$wrong_answers` where no wrong rollout has a final answer."""

    def render_plain(self, question: str) -> str:
        """The question and the closing instruction."""
        return self.plain.substitute(question=question, closing=self.closing)

    def render_bcq(self, question: str, candidates: Sequence[str]) -> str:
        """Two candidates without labels; one is correct and one is wrong."""
        assert len(candidates) == 2
        return self.bcq.substitute(
            question=question, candidates=self._blocks(candidates), closing=self.closing
        )

    def render_ncq(self, question: str, candidates: Sequence[str], wrong_answers: Sequence[str]) -> str:
        """The answers known to be wrong, then the wrong candidates."""
        listed = ", ".join(rf"\boxed{{{answer}}}" for answer in wrong_answers)
        return self.ncq.substitute(
            question=question,
            wrong_answers=listed or self.no_answers,
            candidates=self._blocks(candidates),
            closing=self.closing,
        )

    def render_hint(self, question: str, hint: str) -> str:
        """The question with a hint in `<hint>` tags."""
        return self.hint.substitute(question=question, hint=hint, closing=self.closing)

    def _blocks(self, candidates: Sequence[str]) -> str:
        return "\n".join(self.candidate.substitute(text=text) for text in candidates)
