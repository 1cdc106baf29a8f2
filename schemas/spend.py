"""What requests to an endpoint used, and what that costs."""

from pydantic import Field

from schemas.base import Frozen
from schemas.config.endpoints import Prices


class Spend(Frozen):
    """What an endpoint says it used, summed over requests."""

    requests: int = Field(default=0, ge=0)
    """Answered ones."""
    prompt_tokens: int = Field(default=0, ge=0)
    completion_tokens: int = Field(default=0, ge=0)
    unanswered: int = Field(default=0, ge=0)
    """Attempts that ended without a usable answer; what the provider charges for them is not known."""

    @property
    def tokens(self) -> int:
        """Prompts and responses together."""
        return self.prompt_tokens + self.completion_tokens

    def money(self, prices: Prices) -> float:
        """Cost of the tokens, in the currency of the prices."""
        return (
            self.prompt_tokens * prices.input_per_million + self.completion_tokens * prices.output_per_million
        ) / 1e6

    def __add__(self, other: "Spend") -> "Spend":
        return Spend(
            requests=self.requests + other.requests,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            unanswered=self.unanswered + other.unanswered,
        )

    def __sub__(self, other: "Spend") -> "Spend":
        return Spend(
            requests=self.requests - other.requests,
            prompt_tokens=self.prompt_tokens - other.prompt_tokens,
            completion_tokens=self.completion_tokens - other.completion_tokens,
            unanswered=self.unanswered - other.unanswered,
        )

    def text(self, prices: Prices | None) -> str:
        """For a reader, such as `12,345 tokens, 0.52 USD`."""
        tokens = f"{self.tokens:,} tokens"
        return f"{tokens}, {self.money(prices):,.2f} {prices.currency}" if prices else tokens
