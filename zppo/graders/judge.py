"""A language model as judge: whether the final answer of a response means the same as the gold answer."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from string import Template, ascii_uppercase
from threading import Lock
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.config.models import DecodingConfig
from schemas.question import Question
from schemas.rollout import Verdict
from zppo.core.prompts import neutralise
from zppo.ports import GenerationFailure, TextModel, TextRequest
from zppo.rendering import load_template

DECODING = DecodingConfig(temperature=0.0, top_p=1.0, top_k=0, presence_penalty=0.0, max_response_tokens=512)
"""How verdicts are drawn, as in the paper: the most likely text, so that the seed does not matter."""
REMEMBERED = 1_000_000
"""Verdicts kept; beyond it the oldest are forgotten and asked for again."""
_TAG = re.compile(r"<(\s*/?\s*[^\W\d_][^<>]*)>")


class Judge:
    """Gives one verdict for each content: question, options, response and gold answer.

    What was judged before is not asked again, neither in a later call nor within one, and what another thread
    is asking for right now is waited for. Threads may share it.
    """

    def __init__(self, model: TextModel, template: Template, special_tokens: Sequence[str] = ()):
        """Keep the model.

        Args:
            model: Writes the verdicts, under `DECODING`.
            template: The prompt, with `$question`, `$options`, `$response` and `$answer`.
            special_tokens: Control tokens of the model's tokenizer, where they are known.
        """
        self._model = model
        self._template = template
        self._special_tokens = special_tokens
        self._known: dict[bytes, Verdict] = {}
        self._coming: dict[bytes, Future[Verdict | GenerationFailure]] = {}
        """Asked for by some thread, and not here yet."""
        self._lock = Lock()

    def verdicts(self, responses: Sequence[tuple[Question, str]]) -> list[Verdict | GenerationFailure]:
        """One verdict a response, in order; a failure where the model could not be asked, never a verdict.

        An error of the model's is raised in every thread that waits for the content concerned.
        """
        prompts = [self.prompt(question, response) for question, response in responses]
        keys = [_key(prompt) for prompt in prompts]
        asked = dict(zip(keys, prompts, strict=True))
        with self._lock:
            known = {key: self._known[key] for key in asked if key in self._known}
            mine = {key: asked[key] for key in asked if key not in known and key not in self._coming}
            for key in mine:
                self._coming[key] = Future()
            coming = {key: self._coming[key] for key in asked if key not in known}
        if mine:
            self._ask(mine)
        given = known | {key: each.result() for key, each in coming.items()}
        return [given[key] for key in keys]

    def _ask(self, prompts: Mapping[bytes, str]) -> None:
        """Ask for verdicts, and give them, or the error, to all threads that wait for them."""
        try:
            requests = [TextRequest(f"judge/{key.hex()}", prompt, (0,)) for key, prompt in prompts.items()]
            written = self._model.write(requests, DECODING.max_response_tokens)
            found: dict[bytes, Verdict | GenerationFailure] = {
                key: text if isinstance(text, GenerationFailure) else parse_verdict(text.text)
                for key, (text,) in zip(prompts, written, strict=True)
            }
        except BaseException as error:
            for each in self._arrived(prompts):
                each.set_exception(error)
            raise
        self._keep(found.items())  # before they are no longer coming, so that nobody asks in between
        for each, verdict in zip(self._arrived(found), found.values(), strict=True):
            each.set_result(verdict)

    def _arrived(self, keys: Iterable[bytes]) -> list[Future[Verdict | GenerationFailure]]:
        """What was coming and is here now; to be given to those who wait."""
        with self._lock:
            return [self._coming.pop(key) for key in keys]

    def remember(self, judged: Iterable[tuple[Question, str, Verdict]]) -> None:
        """Take over verdicts of an earlier process on responses to questions."""
        self._keep((_key(self.prompt(question, response)), verdict) for question, response, verdict in judged)

    def prompt(self, question: Question, response: str) -> str:
        """What the judge reads; everything but the template's own words is data without tags."""
        return self._template.substitute(
            question=self._inert(question.text),
            options=self._options(question),
            response=self._inert(response),
            answer=self._inert(question.answer),
        )

    def _options(self, question: Question) -> str:
        """The options in a block of their own, unless the question's text shows them already."""
        options = "\n".join(
            f"{letter}. {choice}" for letter, choice in zip(ascii_uppercase, question.choices, strict=False)
        )
        if not options or options in question.text:
            return ""
        return f"\n<options>\n{self._inert(options)}\n</options>\n"

    def _inert(self, text: str) -> str:
        """Text whose tags and control tokens are none any more: `<b>` becomes `‹b›`, a lone `<` stays."""
        text, replaced = neutralise(text, self._special_tokens), 1
        while replaced:  # a tag may stand inside a tag
            text, replaced = _TAG.subn(r"‹\1›", text)
        return text

    def _keep(self, verdicts: Iterable[tuple[bytes, Verdict | GenerationFailure]]) -> None:
        with self._lock:
            self._known |= {key: each for key, each in verdicts if not isinstance(each, GenerationFailure)}
            while len(self._known) > REMEMBERED:
                del self._known[next(iter(self._known))]


class _Answer(BaseModel):
    """All that a judge may say."""

    model_config = ConfigDict(extra="forbid", strict=True)

    verdict: Literal["correct", "wrong"]


def parse_verdict(text: str) -> Verdict:
    """The verdict in `{"verdict": "correct"}` or `{"verdict": "wrong"}`; anything else is malformed."""
    try:
        return _Answer.model_validate_json(text).verdict
    except ValidationError:
        return "malformed"


def load_judge_template(name: str) -> Template:
    """`judge.txt` of a template set, or the general one where the set has none.

    Raises:
        InputError: No such set, or the placeholders are not `$question`, `$options`, `$response`, `$answer`.
    """
    return load_template(name, "judge", {"question", "options", "response", "answer"})


def _key(prompt: str) -> bytes:
    """The content in 16 bytes: the prompt holds all of it."""
    return hashlib.blake2b(prompt.encode(errors="surrogatepass"), digest_size=16).digest()
