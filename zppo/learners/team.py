"""The processes that compute an update together."""

from collections.abc import Callable, Iterable
from typing import ClassVar, Protocol, TypeVar

from torch import Tensor
from torch.nn.utils import get_total_norm

Result = TypeVar("Result")


class Team(Protocol):
    """The processes among which a model and the rows of an update are dealt, seen from one of them.

    All of them call the same methods in the same order.
    """

    @property
    def rank(self) -> int:
        """This process's place among them."""
        ...

    @property
    def size(self) -> int:
        """How many they are."""
        ...

    def forward(self, compute: Callable[[], Result]) -> Result:
        """Run a forward pass, of which only tensors in the result, or in its tuple, lead backward."""
        ...

    def total(self, values: Tensor) -> Tensor:
        """The sum of everyone's values, which are on the CPU."""
        ...

    def norm(self, tensors: Iterable[Tensor]) -> Tensor:
        """Euclidean norm of all elements, those that others hold included; the same for everyone."""
        ...

    def own(self, whole: Tensor, like: Tensor) -> Tensor:
        """This process's part of a tensor that everyone has in whole, dealt and placed as `like` is."""
        ...


class Alone:
    """`Team` of one process."""

    rank: ClassVar[int] = 0
    size: ClassVar[int] = 1

    def forward(self, compute: Callable[[], Result]) -> Result:
        """Run it."""
        return compute()

    def total(self, values: Tensor) -> Tensor:
        """The values."""
        return values

    def norm(self, tensors: Iterable[Tensor]) -> Tensor:
        """Their norm."""
        return get_total_norm(tensors)

    def own(self, whole: Tensor, like: Tensor) -> Tensor:
        """All of it."""
        return whole
