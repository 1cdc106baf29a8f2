r"""The pocket task: chains of operations modulo 19, small enough to be learned on a CPU.

A question reads `start 9 +6 *2 +2 mod 19`. Its derivation writes each operation and the value after it:
`<think> 9 +6 15 *2 11 +2 13 </think> \boxed{13}`. Additions are easy to learn, multiplications are not:
they are what a student has left to learn by reinforcement.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import NamedTuple

from zppo.core.answers import boxed
from zppo.core.randomness import generator
from zppo.errors import InputError

MODULUS = 19
ADDENDS = (1, 2, 3, 4, 5, 6)
FACTORS = (2, 3, 5)
TASK_VERSION = 1
"""Raised whenever the same seed would give other questions."""


@dataclass(frozen=True)
class Operation:
    """One step of a chain."""

    symbol: str
    """`+` or `*`."""
    operand: int

    def __str__(self) -> str:
        return f"{self.symbol}{self.operand}"

    def apply(self, value: int) -> int:
        """The true value after this step, in 0..18."""
        result = value + self.operand if self.symbol == "+" else value * self.operand
        return result % MODULUS


Fact = Callable[[int, Operation], int]
"""What somebody believes a step to give: `(value, operation) -> value`."""


@dataclass(frozen=True)
class Chain:
    """A start value in 1..18 and the operations on it."""

    start: int
    operations: tuple[Operation, ...]

    @property
    def text(self) -> str:
        """The question as the student reads it."""
        return f"start {self.start} {' '.join(map(str, self.operations))} mod {MODULUS}"

    @classmethod
    def read(cls, text: str) -> "Chain":
        """The chain of a question's text."""
        _, start, *operations, _, _ = text.split()
        return cls(int(start), tuple(Operation(word[0], int(word[1:])) for word in operations))

    def derive(self, fact: Fact = lambda value, operation: operation.apply(value)) -> "Derivation":
        """Work the chain out with the given facts; the default are the true ones."""
        values = [self.start]
        for operation in self.operations:
            values.append(fact(values[-1], operation))
        return Derivation(self, tuple(values))


@dataclass(frozen=True)
class Derivation:
    """A chain with the values somebody wrote, right or wrong."""

    chain: Chain
    values: tuple[int, ...]
    """The start value, then one value for each operation."""

    @property
    def answer(self) -> str:
        """The last value: what stands in the box."""
        return str(self.values[-1])

    @property
    def steps(self) -> str:
        """`9 +6 15 *2 11`."""
        return self.first_steps(len(self.chain.operations))

    def first_steps(self, count: int) -> str:
        """The start value and the first `count` operations, each with its value."""
        written = [str(self.values[0])]
        for operation, value in zip(self.chain.operations[:count], self.values[1:], strict=False):
            written += [str(operation), str(value)]
        return " ".join(written)

    @property
    def hint_lengths(self) -> list[int]:
        """How many first steps may serve as a hint: not all of them, and none with the answer as a value.

        Where no first step is free of the answer, one step is left: a hint that gives the answer away.
        """
        values = self.values
        free = [count for count in range(1, len(values) - 1) if values[-1] not in values[: count + 1]]
        return free or [1]

    @property
    def response(self) -> str:
        """The whole response, reasoning in tags."""
        return f"<think> {self.steps} </think> {boxed(self.answer)}"

    @property
    def candidate(self) -> str:
        """The response as extractive compression shortens it."""
        return f"{self.steps} {boxed(self.answer)}"


class PocketQuestion(NamedTuple):
    """One question of the stream."""

    text: str
    answer: str
    """A number in 0..18; graded numerically, so the final answer alone decides."""
    reference_solution: str
    kind: str
    """`k=3`: the number of operations."""


def draw_chain(length: int, random: Random) -> Chain:
    """A random chain; half of its operations are multiplications on average."""
    operations = tuple(
        Operation("*", random.choice(FACTORS))
        if random.random() < 0.5
        else Operation("+", random.choice(ADDENDS))
        for _ in range(length)
    )
    return Chain(random.randrange(1, MODULUS), operations)


def distinct_chains(lengths: Sequence[int], seed: int) -> Iterator[Chain]:
    """An endless stream of different chains, the same for the same lengths and seed."""
    random = generator("pocket", TASK_VERSION, seed, *lengths)
    seen: set[Chain] = set()
    while True:
        chain = draw_chain(random.choice(lengths), random)
        if chain not in seen:
            seen.add(chain)
            yield chain


def capacity(lengths: Sequence[int]) -> int:
    """Questions that a stream of these lengths serves: as if each had half of the shortest one's chains."""
    shortest: int = (MODULUS - 1) * (len(ADDENDS) + len(FACTORS)) ** min(lengths)
    return len(set(lengths)) * shortest // 2


def make_questions(
    count: int, lengths: Sequence[int], seed: int, offset: int = 0
) -> Iterator[PocketQuestion]:
    """Questions number `offset` to `offset + count` of the stream that lengths and seed determine.

    All questions of a stream are different, so slices that do not overlap share none. Their lengths are
    uniform over `lengths`. Raises `InputError` for a request that the task cannot serve.
    """
    if not lengths or min(lengths) < 1:
        raise InputError(f"the pocket task needs at least one length, each 1 or more; got {tuple(lengths)}")
    if count + offset > capacity(lengths):
        raise InputError(
            f"the pocket task has at most {capacity(lengths)} questions of lengths {tuple(lengths)}; "
            f"{count + offset} were asked for: ask for fewer, or for longer chains"
        )
    return map(_question, islice(distinct_chains(lengths, seed), offset, offset + count))


def _question(chain: Chain) -> PocketQuestion:
    derivation = chain.derive()
    return PocketQuestion(chain.text, derivation.answer, derivation.response, f"k={len(chain.operations)}")
