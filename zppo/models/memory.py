"""Memory that does not suffice, said so that a user can act on it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from zppo.errors import EngineError

_CAUSES = ("can't allocate memory", "not enough memory", "bad_alloc")
"""What torch says on the CPU, where it has no error of its own for this."""


@contextmanager
def memory_explained(doing: str, remedy: str) -> Iterator[None]:
    """Turn a lack of memory into an `EngineError`.

    Args:
        doing: What the memory was for, such as `the update`.
        remedy: The settings that take less of it.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _is_lack_of_memory(error):
            raise
        what = str(error).partition("\n")[0] or type(error).__name__
        raise EngineError(
            f"the memory does not suffice for {doing}: {what}. Everything that was committed is kept: resume "
            f"the run where more memory is free, or go on in a fork of it (`zppo fork`) with {remedy}"
        ) from error


def _is_lack_of_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(cause in str(error) for cause in _CAUSES)
