"""Questions made on the fly: the pocket task and the tasks of reasoning-gym."""

from collections.abc import Iterator

from schemas.config.data import PocketSource, ReasoningGymSource
from zppo.data.rows import BadRow, Place, Row
from zppo.errors import InputError
from zppo.pocket.task import make_questions


def read_pocket(source: PocketSource) -> Iterator[Row | BadRow]:
    """Chains of operations with their worked solutions; the field `kind` tells their length."""
    questions = make_questions(source.count, source.lengths, source.seed)
    for line, question in enumerate(questions, start=1):
        yield Row(Place("pocket", line), question._asdict())


def read_reasoning_gym(source: ReasoningGymSource) -> Iterator[Row | BadRow]:
    """Questions and answers of one task.

    Raises:
        InputError: The package is not installed, has no such task, or the task refuses a parameter.
    """
    try:
        import reasoning_gym  # an extra that takes seconds to import
    except ImportError as error:
        raise InputError(
            f"source {source.name!r} needs the package reasoning-gym: pip install 'zppo[smollm2]'"
        ) from error
    parameters = {parameter.name: parameter.value for parameter in source.parameters}
    try:
        entries = reasoning_gym.create_dataset(source.task, size=source.count, seed=source.seed, **parameters)
    except (ValueError, TypeError, AssertionError) as error:  # The tasks check their parameters by assertion.
        raise InputError(
            f"source {source.name!r}: reasoning-gym makes no {source.task!r} "
            f"with the parameters {parameters}: {error}"
        ) from error
    for line, entry in enumerate(entries, start=1):
        yield Row(Place(f"reasoning_gym/{source.task}", line), entry)
