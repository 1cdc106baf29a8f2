"""Mathematical equivalence of two answers: what the grading process runs.

Imports math-verify (and sympy with it) inside the functions, so that the parent, which names these
functions only, never pays for it.
"""

import logging
import os
import resource
import signal
import sys

from zppo.graders.kinds import strip_marks

MEMORY_LIMIT_BYTES = 4 << 30
"""Address space of a grading process; an expression that needs more ends as an error."""


def prepare() -> None:
    """Make the process ready: limits, then the slow imports and the first use, outside any answer's time."""
    os.setpgid(0, 0)  # a signal to the whole group is for the parent, which finishes what it is grading
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a Python handler would wait for C code to return
    logging.disable(logging.WARNING)  # math-verify warns that its own timeouts are off
    if sys.platform == "linux":  # elsewhere the limit may be refused; the time limit holds all the same
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        if hard == resource.RLIM_INFINITY or hard > MEMORY_LIMIT_BYTES:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, hard))
    equivalent("1/2", r"\frac{1}{2}")


def compare(gold: str, answer: str, last_resort_seconds: float) -> bool:
    """`equivalent`, in a process that ends itself after `last_resort_seconds`.

    The parent enforces the time limit; this alarm is for the process whose parent was killed. Its default
    action ends the process even inside C code, where no Python thread would run.
    """
    signal.setitimer(signal.ITIMER_REAL, last_resort_seconds)
    try:
        return equivalent(gold, answer)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def equivalent(gold: str, answer: str) -> bool:
    """Equal as LaTeX or as numbers; if not, once more without degree and percent marks on either side."""
    if _equal(gold, answer):
        return True
    stripped = strip_marks(gold), strip_marks(answer)
    return stripped != (gold, answer) and all(stripped) and _equal(*stripped)


def _equal(gold: str, answer: str) -> bool:
    """One pass of math-verify, its own timeouts off: they raise SIGALRM in the main thread."""
    from math_verify import (  # type: ignore[import-untyped]
        LatexExtractionConfig,
        parse,
        verify,
    )

    sides = [
        parse(rf"\boxed{{{side}}}", (LatexExtractionConfig(),), parsing_timeout=None, raise_on_error=True)
        for side in (gold, answer)
    ]
    try:
        return bool(verify(*sides, timeout_seconds=None, raise_on_error=True))
    except ValueError:  # an undefined value, such as 1/0: it equals nothing
        return False
