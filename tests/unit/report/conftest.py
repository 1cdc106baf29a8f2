"""One made-up run for all tests of the report that only read it."""

from pathlib import Path

import pytest

from tests.stories import tell
from zppo.report.history import RunHistory


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a finished run, and one with another seed that stopped."""
    from tests.stories import Story

    directory = tmp_path_factory.mktemp("home")
    tell(directory)
    Story(directory, "other", ["seed=7"]).rounds(2)
    return directory


@pytest.fixture(scope="session")
def history(home: Path) -> RunHistory:
    """The finished run."""
    return RunHistory(home, "story")
