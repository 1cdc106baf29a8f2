"""The tiny study, finished."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.tiny_studies import run_here, write_study
from zppo.study.grid import StudyPlan, load_plan


@dataclass(frozen=True)
class Trained:
    """A study whose runs are finished."""

    plan: StudyPlan
    home: Path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> Trained:
    """All runs of the tiny study, without its report."""
    home = tmp_path_factory.mktemp("home")
    shutil.copy(mlflow_database, home / "mlflow.db")
    plan = load_plan(str(write_study(tmp_path_factory.mktemp("study"))))
    run_here(plan, home)
    return Trained(plan, home)
