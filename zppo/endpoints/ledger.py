"""The spend of an endpoint, held below a budget."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio

from schemas.config.endpoints import EndpointAccess, Prices
from schemas.spend import Spend
from zppo.endpoints.chat import ChatAnswer, ChatRequest
from zppo.errors import EngineError, InputError


class BudgetReached(EngineError):
    """The rest of the budget does not cover another request."""


class Ledger:
    """Counts what is spent, and lets a request go only if the budget covers the most that it can use.

    So the budget is never exceeded, as far as the endpoint reports what it used; the requests in flight
    become fewer towards its end.
    """

    def __init__(
        self,
        role: str,
        access: EndpointAccess,
        prices: Prices | None,
        spent: Spend,
        note: Callable[[Spend], None],
    ):
        """Begin with what earlier sessions spent.

        Args:
            role: The endpoint's name under `endpoints`, for messages.
            access: Holds the budget.
            prices: The recipe's.
            spent: Before this session.
            note: Told of every addition, as soon as it is known.

        Raises:
            InputError: A budget of money without prices.
        """
        if access.budget_money is not None and prices is None:
            raise InputError(
                f"endpoints.{role}.budget_money needs the recipe's prices: set {role}.prices."
                "input_per_million and output_per_million, or give the budget in tokens (budget_tokens)"
            )
        self.spent = spent
        self._role = role
        self._access = access
        self._prices = prices
        self._note = note
        self._held = Spend()
        self._end = ""
        self._changed = anyio.Event()

    @asynccontextmanager
    async def hold(self, request: ChatRequest) -> AsyncIterator[None]:
        """Hold a request's share of the budget while it is in flight; waits for others to give theirs back.

        Raises:
            BudgetReached: Nothing is in flight, and the rest does not cover it. Then it is the end for all
                others too, even those that it would cover.
        """
        most = _most(request)
        while not self._end and not self._covers(most):
            if self._held.requests:
                await self._changed.wait()
            else:
                self._end = self._exhausted(most)
        if self._end:
            raise BudgetReached(self._end)
        self._held += most
        try:
            yield
        finally:
            self._held -= most
            self._changed.set()
            self._changed = anyio.Event()

    def answered(self, answer: ChatAnswer) -> None:
        """Add what an answer used."""
        self._add(
            Spend(requests=1, prompt_tokens=answer.prompt_tokens, completion_tokens=answer.completion_tokens)
        )

    def unanswered(self) -> None:
        """Count an attempt without a usable answer."""
        self._add(Spend(unanswered=1))

    def _add(self, more: Spend) -> None:
        self.spent += more
        self._note(more)

    def _covers(self, most: Spend) -> bool:
        total = self.spent + self._held + most
        tokens, money = self._access.budget_tokens, self._access.budget_money
        enough = tokens is None or total.tokens <= tokens
        return enough and (money is None or self._prices is None or total.money(self._prices) <= money)

    def _exhausted(self, most: Spend) -> str:
        budgets = [
            f"{self._access.budget_tokens:,} tokens" if self._access.budget_tokens else "",
            f"{self._access.budget_money:,.2f} {self._prices.currency}"
            if self._access.budget_money and self._prices
            else "",
        ]
        return (
            f"the budget of the {self._role}'s endpoint ({' and '.join(filter(None, budgets))}) is used up: "
            f"{self.spent.text(self._prices)} spent in {self.spent.requests:,} requests, and the next one "
            f"may take up to {most.text(self._prices)}. To go on, raise endpoints.{self._role}.budget_tokens "
            "or budget_money of this machine and give the same command again; the run stays the same"
        )


def _most(request: ChatRequest) -> Spend:
    completion = request.n * request.max_tokens
    return Spend(requests=1, prompt_tokens=request.most_tokens - completion, completion_tokens=completion)
