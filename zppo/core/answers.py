r"""Final answers inside responses: the last `\boxed{}`, and forms in which answers are compared."""

import re
from dataclasses import dataclass

_TOKEN = re.compile(r"\\boxed\s*\{|\\.|[{}]", re.DOTALL)
_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")


@dataclass(frozen=True)
class Box:
    """One box in a text: `text[start:end]` is the whole of it, command and braces included."""

    start: int
    end: int
    content: str
    """What it holds, without surrounding white space; never empty."""


def last_box(text: str) -> Box | None:
    r"""The complete, non-empty `\boxed{…}` that starts last; one pass over the text, however it nests.

    Braces nest; `\{` and `\}` are characters, not braces. A box that never closes and an empty one
    (as in "put the answer into \boxed{}") are passed over. Braces are required: `\boxed 5` is no box.
    """
    open_braces: list[re.Match[str]] = []
    last: Box | None = None
    for token in _TOKEN.finditer(text):
        if token[0].endswith("{") and token[0] != r"\{":
            open_braces.append(token)
        elif token[0] == "}" and open_braces:
            opening = open_braces.pop()
            is_box = len(opening[0]) > 1
            if is_box and (last is None or opening.start() > last.start):
                content = _strip(text[opening.end() : token.start()])
                last = Box(opening.start(), token.end(), content) if content else last
    return last


def last_boxed(text: str) -> str | None:
    """Content of the last box, or None where no box is complete and non-empty."""
    box = last_box(text)
    return box.content if box else None


def boxed(answer: str) -> str:
    """The answer in a box."""
    return rf"\boxed{{{answer}}}"


def normalise_boxed(answer: str) -> str:
    r"""The form in which boxed strings are compared: lower case, single spaces, no `\text{}` around words."""
    replaced = 1
    while replaced:
        answer, replaced = _TEXT.subn(r"\1", answer)
    return " ".join(answer.lower().split())


def _strip(content: str) -> str:
    r"""Without surrounding white space, except that an escaped space (`\ `) at the end stays whole."""
    stripped = content.strip()
    backslashes = len(stripped) - len(stripped.rstrip("\\"))
    return stripped + " " if backslashes % 2 else stripped
