"""The prompts of the pocket models, and responses as they stand in them."""

from string import Template

from zppo.core.compress import shorten
from zppo.core.prompts import neutralise
from zppo.rendering import load_templates, template_directory

TEMPLATES = load_templates("pocket")
MOST_WORDS = 32
"""Of a candidate."""


def _template(stem: str) -> Template:
    path = template_directory("pocket") / f"{stem}.txt"
    return Template(path.read_text(encoding="utf-8").rstrip("\n"))


_WRITE_HINT, _COMPRESS = map(_template, ("write_hint", "compress"))


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
