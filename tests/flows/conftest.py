"""A run of the whole pipeline by the command, with servers of its own."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.pipelines import write_recipe, zppo


@dataclass(frozen=True)
class Commanded:
    """What a command left behind."""

    home: Path
    recipe: Path
    done: "subprocess.CompletedProcess[str]"


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Commanded:
    """A run from an empty home to its end."""
    directory = tmp_path_factory.mktemp("finished")
    home, recipe = directory / "runs", write_recipe(directory)
    return Commanded(home, recipe, zppo("run", str(recipe), home=home))
