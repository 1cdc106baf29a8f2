"""A rollout engine that answers from a script."""

from collections.abc import Callable, Iterable, Sequence

from schemas.config.models import DecodingConfig
from schemas.rollout import StopReason
from zppo.ports import Finished, Generation, GenerationFailure, GenerationRequest

EOS = 0
LOGPROB = -0.5
"""Log-probability of every scripted token."""


class ScriptedEngine:
    """`RolloutEngine` that continues a prompt with `script(request id, index)`; one word is one token.

    A script may return a `GenerationFailure`. A response longer than the limit is cut off.
    """

    def __init__(
        self, script: Callable[[str, int], str | GenerationFailure], window: int = 1_000_000
    ) -> None:
        self._script = script
        self._window = window
        self._words = ["<eos>"]
        self._ids = {"<eos>": EOS}
        self.requests: list[GenerationRequest] = []
        """Every request so far, in order."""

    def encode(self, text: str) -> tuple[int, ...]:
        """A user message between two marks."""
        return self._tokens(f"<user> {text} <assistant>")

    def tokenize(self, text: str) -> tuple[int, ...]:
        """One token a word."""
        return self._tokens(text)

    def decode(self, token_ids: Sequence[int]) -> str:
        """Words of the ids, the end of sequence left out."""
        return " ".join(self.words(token for token in token_ids if token != EOS))

    def words(self, token_ids: Iterable[int]) -> list[str]:
        """The word of each id."""
        return [self._words[token] for token in token_ids]

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        decoding: DecodingConfig,
        finished: Finished | None = None,
    ) -> list[tuple[Generation | GenerationFailure, ...]]:
        """Answer from the script, whatever the seeds are; the last request is finished first."""
        self.requests.extend(requests)
        answers = [
            tuple(self._answer(request, index, decoding) for index in range(len(request.seeds)))
            for request in requests
        ]
        if finished is not None:
            for place in reversed(range(len(requests))):
                finished(place, answers[place])
        return answers

    def _answer(
        self, request: GenerationRequest, index: int, decoding: DecodingConfig
    ) -> Generation | GenerationFailure:
        longest = min(decoding.max_response_tokens, self._window - len(request.prompt_ids))
        limit = longest - len(request.prefix_ids)
        if longest <= 0 or not request.prompt_ids:
            return GenerationFailure("the prompt leaves no room in the context window")
        if limit <= 0:
            return GenerationFailure("the forced prefix leaves nothing to draw")
        answer = self._script(request.id, index)
        if isinstance(answer, GenerationFailure):
            return answer
        token_ids = (*self._tokens(answer), EOS)[:limit]
        stop: StopReason = "eos" if token_ids[-1] == EOS else "length"
        text = self.decode(request.prefix_ids + token_ids)
        return Generation(text, token_ids, (LOGPROB,) * len(token_ids), stop)

    def _tokens(self, text: str) -> tuple[int, ...]:
        return tuple(self._token(word) for word in text.split())

    def _token(self, word: str) -> int:
        if word not in self._ids:
            self._ids[word] = len(self._words)
            self._words.append(word)
        return self._ids[word]
