"""The run that nothing disturbed: what every disturbed one must come to."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.lives import Request, Target, forking
from tests.pipelines import results


@dataclass(frozen=True)
class Finished:
    """A run that came to its end."""

    home: Path
    lives: list[list[str]]
    """The points that each process passed."""
    seconds: list[float]
    """How long each process lived."""
    results: dict[str, str]


Live = Callable[[Sequence[Target]], Finished]


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> Iterator[Live]:
    """Runs the pipeline in a fresh home, its processes killed at the points of a plan, until it is done."""
    with forking(tmp_path_factory.mktemp("tools")) as ask:

        def run(plan: Sequence[Target]) -> Finished:
            home = tmp_path_factory.mktemp("home")
            (home / "mlflow.db").write_bytes(mlflow_database.read_bytes())
            answer = ask(Request(str(home), list(plan)))
            assert answer.error is None, answer.error
            return Finished(home, answer.lives, answer.seconds, results(home))

        yield run


@pytest.fixture(scope="session")
def undisturbed(live: Live) -> Finished:
    """A run in one process from its beginning to its end."""
    return live(())
