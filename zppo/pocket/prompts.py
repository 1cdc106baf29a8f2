"""The prompts of the pocket models, and responses as they stand in them."""

from zppo.core.compress import shorten
from zppo.core.prompts import neutralise
from zppo.rendering import load_template, load_templates

TEMPLATES = load_templates("pocket")
MOST_WORDS = 32
"""Of a candidate."""

_WRITE_HINT = load_template("pocket", "write_hint", {"question", "response"})
_COMPRESS = load_template("pocket", "compress", {"response"})


def hint_prompt(question: str, hint: str) -> str:
    """Asks the student to answer a question with the help of a hint."""
    return TEMPLATES.render_hint(question, neutralise(hint))


def write_hint_prompt(question: str, response: str) -> str:
    """Asks the teacher to make a hint out of a response."""
    return _WRITE_HINT.substitute(question=question, response=neutralise(response))


def summary_prompt(response: str) -> str:
    """Asks the teacher for the summary of a response."""
    return _COMPRESS.substitute(response=neutralise(response))


def candidate_text(response: str) -> str:
    """A response as it stands in a prompt: shortened, with its tags neutralised."""
    short = shorten(response, max_lines=1, max_tokens=MOST_WORDS, count_tokens=_count_words)
    return neutralise(short or "")


def _count_words(text: str) -> int:
    return len(text.split())
