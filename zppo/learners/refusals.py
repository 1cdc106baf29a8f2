"""What is said of an update that was not made."""

from collections.abc import Sequence

from zppo.ports import TrainingRow


def not_finite(what: str, value: float, rows: Sequence[TrainingRow]) -> str:
    """Of a value that is NaN or infinite in the micro-batch of these rows."""
    return (
        f"the {what} is {value} in the micro-batch of rollouts {names_of(rows)}; no weight was changed and "
        "the round is not committed: look at these rollouts, or start another run with a lower "
        "learner.learning_rate"
    )


def names_of(rows: Sequence[TrainingRow], shown: int = 10) -> str:
    """The rollouts of the rows, the first ones by name."""
    names = [row.rollout for row in rows]
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return f"{', '.join(names[:shown])}{more}"
