"""How long a response may become, and why one cannot be drawn."""

from dataclasses import dataclass

from zppo.ports import GenerationFailure, GenerationRequest


@dataclass(frozen=True)
class Room:
    """What bounds the responses of a call."""

    window: int
    """Positions of the model, prompt and response together."""
    max_response_tokens: int

    def limit(self, request: GenerationRequest) -> int:
        """Most tokens to draw; 0 where there is nothing to continue or no room for it."""
        if not request.prompt_ids:
            return 0
        return max(0, self._longest(request) - len(request.prefix_ids))

    def refusal(self, request: GenerationRequest) -> GenerationFailure:
        """Why the limit is 0."""
        longest = self._longest(request)
        if request.prompt_ids and longest > 0:
            return GenerationFailure(
                f"a response to this prompt has at most {longest} tokens, and its forced prefix of "
                f"{len(request.prefix_ids)} leaves none to draw"
            )
        return GenerationFailure(
            f"a prompt of 1 to {self.window - 1} tokens fits into the context window; this one has "
            f"{len(request.prompt_ids)}"
        )

    def _longest(self, request: GenerationRequest) -> int:
        """Most tokens of a response, a forced prefix included."""
        return min(self.max_response_tokens, self.window - len(request.prompt_ids))
