"""What requests to an endpoint used, and what that costs."""

from typing import Literal, Self

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
        money, currency = (self.money(prices), prices.currency) if prices else (None, None)
        return spend_text(self.tokens, money, currency)


class EndpointSpend(Frozen):
    """What one part of a run spent at its endpoint."""

    role: Literal["teacher", "judge"]
    used: Spend
    money: float | None = None
    """At the recipe's prices; None without them."""
    currency: str | None = None

    @classmethod
    def of(cls, role: Literal["teacher", "judge"], used: Spend, prices: Prices | None) -> Self:
        """With its cost, where there are prices."""
        if prices is None:
            return cls(role=role, used=used)
        return cls(role=role, used=used, money=used.money(prices), currency=prices.currency)

    def __add__(self, other: Self) -> Self:
        """Of the same role at the same prices."""
        money = None if self.money is None or other.money is None else self.money + other.money
        return self.model_copy(update={"used": self.used + other.used, "money": money})

    @property
    def text(self) -> str:
        """For a reader, such as `12,345 tokens, 0.52 USD`."""
        return spend_text(self.used.tokens, self.money, self.currency)


def spend_text(tokens: int, money: float | None, currency: str | None) -> str:
    """For a reader, such as `12,345 tokens, 0.52 USD`."""
    return f"{tokens:,} tokens" + (f", {money:,.2f} {currency}" if money is not None else "")
