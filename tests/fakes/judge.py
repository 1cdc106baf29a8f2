"""Text models that judge from a script."""

import json
import re
from collections.abc import Callable, Sequence

from zppo.core.answers import last_boxed
from zppo.ports import GenerationFailure, Text, TextRequest

_RESPONSE = re.compile(r"<response>\n(.*)\n</response>", re.DOTALL)
_ANSWER = re.compile(r"<right_answer>\n(.*)\n</right_answer>", re.DOTALL)


def honest(prompt: str) -> str:
    """The verdict of a judge that compares the last box, or the last word, with the right answer."""
    response, answer = (re.search(each, prompt) for each in (_RESPONSE, _ANSWER))
    assert response
    assert answer
    said = last_boxed(response[1]) or response[1].split()[-1:]
    return json.dumps({"verdict": "correct" if said in (answer[1], [answer[1]]) else "wrong"})


class ScriptedText:
    """`TextModel` that answers with `reply(prompt)`; every word is a token."""

    def __init__(self, reply: Callable[[str], str | GenerationFailure] = honest) -> None:
        self._reply = reply
        self.prompts: list[str] = []
        """Everything it was asked, in order."""

    def write(
        self, requests: Sequence[TextRequest], max_tokens: int
    ) -> list[tuple[Text | GenerationFailure, ...]]:
        """The script's answer for every seed."""
        self.prompts += [each.prompt for each in requests]
        return [(self._text(each.prompt),) * len(each.seeds) for each in requests]

    def _text(self, prompt: str) -> Text | GenerationFailure:
        reply = self._reply(prompt)
        if isinstance(reply, GenerationFailure):
            return reply
        return Text(reply, len(reply.split()), prompt_tokens=len(prompt.split()))
