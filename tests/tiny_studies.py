"""A study of two methods, small enough to run in tests."""

from pathlib import Path

import yaml

from schemas.config.run import Runtime
from tests.pipelines import RECIPE
from zppo.progress import Quiet
from zppo.study.grid import StudyPlan
from zppo.wiring.study import prepare_study, train_run

NAME = "few"
STUDY = {
    "title": "A tiny study",
    "recipe": "tiny.yaml",
    "set": ["rounds=3", "validation.out_of_distribution=true", "checkpoints.keep_last=1"],
    "seeds": [0],
    "variants": [
        {"name": "grpo", "set": ["method={type: grpo, group_size: 4, iterations: 2}"]},
        {"name": "zppo"},
    ],
}


def write_study(directory: Path, **changes: object) -> Path:
    """The study and its recipe as files, named so that the study is called `NAME`."""
    (directory / "tiny.yaml").write_text(yaml.safe_dump(RECIPE))
    file = directory / f"{NAME}.yaml"
    file.write_text(yaml.safe_dump(STUDY | changes))
    return file


def run_here(plan: StudyPlan, home: Path) -> None:
    """Every run of a study, one after the other, in this process and without interruption."""
    runtime = Runtime(home=home)
    prepare_study(plan, runtime, Quiet(), _go_on)
    for run in plan.runs:
        train_run(plan.name, run, runtime, Quiet(), _go_on)


def _go_on() -> None:
    """After a commit."""
