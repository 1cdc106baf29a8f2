"""Small values that the method's core and the ports share."""

from dataclasses import dataclass

from schemas.rollout import Provenance


@dataclass(frozen=True)
class TeacherResponse:
    """One graded teacher response."""

    origin: str
    """Where it stands: `pool/<question id>#<index>` or `online/<seed>/<question id>#<index>`."""
    text: str
    answer: str | None
    correct: bool
    summary: str | None = None
    """The teacher's own short version, where one was precomputed."""
    hint: str | None = None
    """An answer-free hint made from it, where there is one."""
    token_ids: tuple[int, ...] = ()
    """As the teacher drew it, where it was sampled by this program."""
    provenance: Provenance | None = None
    """Set where a visit is served."""


@dataclass(frozen=True)
class Original:
    """A response that is to become a candidate."""

    text: str
    answer: str | None
    summary: str | None = None


def ratio(part: int, whole: int) -> float | None:
    """A share, None where there is nothing to count."""
    return part / whole if whole else None
