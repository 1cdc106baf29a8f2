"""A run whose learner is in processes: it trains through the real stage, and outlives one of them."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from schemas.config.machine import LearnerMachines
from schemas.config.run import RunConfig, Runtime
from tests.pipelines import RECIPE
from zppo.errors import EngineError
from zppo.learners.fsdp.learner import FsdpLearner
from zppo.stages.train import Trainer, read_reports
from zppo.stores.rounds import read_round
from zppo.wiring.context import RunContext, open_run
from zppo.wiring.learner import open_learner
from zppo.wiring.tracking import tracking
from zppo.wiring.train import open_training

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
ROUNDS = 2
FSDP = {"type": "fsdp", "processes": 2, "learning_rate": 3e-4, "weight_decay": 0.0}


def config_of(**learner: object) -> RunConfig:
    return RunConfig.model_validate(RECIPE | {"rounds": ROUNDS, "learner": learner})


def ranks() -> list[psutil.Process]:
    below = psutil.Process().children(recursive=True)
    return [process for process in below if "zppo.learners.fsdp.rank" in process.cmdline()]


def advance(trainer: Trainer) -> None:
    trainer.validate_base()
    for index in trainer.remaining():
        trainer.collect(index)
        trainer.update(index)


def files(run: RunContext) -> dict[str, bytes]:
    """Weights, optimizer, rollouts and reports."""
    paths = [run.paths.checkpoint(ROUNDS), *(run.paths.collect(index) for index in (1, 2))]
    found = [file for path in paths for file in (run.store.home / path).iterdir()]
    return {
        f"{file.parent.name}/{file.name}": file.read_bytes()
        for file in found
        if file.name not in ("manifest.json", "timings.json")
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunContext:
    """A run that nothing disturbed."""
    runtime = Runtime(home=tmp_path_factory.mktemp("whole"))
    with (
        open_run(config_of(**FSDP), "r", runtime) as run,
        tracking(run) as tracker,
        open_training(run, tracker) as trainer,
    ):
        advance(trainer)
        assert len(ranks()) == 2
    assert ranks() == []
    assert not any((runtime.home / "tmp").iterdir())
    return run


def test_a_run_in_two_processes_is_that_in_one_but_for_rounding(whole: RunContext, tmp_path: Path) -> None:
    alone = config_of(**{name: value for name, value in FSDP.items() if name not in ("type", "processes")})
    with (
        open_run(alone, "r", Runtime(home=tmp_path)) as run,
        tracking(run) as tracker,
        open_training(run, tracker) as trainer,
    ):
        advance(trainer)
        mine, theirs = (read_reports(each.store, each.paths) for each in (run, whole))
        first = [read_round(each.store.home / each.paths.collect(1)) for each in (run, whole)]
        assert first[0].groups == first[1].groups
        for ours, others in zip(mine[0].updates, theirs[0].updates, strict=True):
            assert ours.grad_norm == pytest.approx(others.grad_norm, rel=1e-4)
        assert all(report.drift is not None and report.drift.max < 1e-4 for report in theirs)


def test_a_run_that_loses_a_rank_says_which_and_ends_as_one_that_does_not(
    whole: RunContext, tmp_path: Path
) -> None:
    runtime = Runtime(home=tmp_path)
    with (
        open_run(config_of(**FSDP), "r", runtime) as run,
        tracking(run) as tracker,
        open_training(run, tracker) as trainer,
    ):
        trainer.validate_base()
        trainer.collect(1)
        trainer.update(1)
        trainer.collect(2)
        os.kill(ranks()[1].pid, signal.SIGKILL)
        with pytest.raises(EngineError, match=r"rank [01] of the learner was ended by SIGKILL"):
            trainer.update(2)
    with open_run(config_of(**FSDP), "r", runtime) as run, tracking(run) as tracker:
        with open_training(run, tracker) as trainer:
            assert list(trainer.remaining()) == [2]
            advance(trainer)
        assert files(run) == files(whole)
        assert read_reports(run.store, run.paths) == read_reports(whole.store, whole.paths)


def test_what_ranks_on_other_machines_load_is_in_the_home(tmp_path: Path) -> None:
    machines = LearnerMachines(nodes=2, rendezvous="127.0.0.1:29500")
    runtime = Runtime(home=tmp_path, learner=machines)
    with open_run(config_of(**FSDP), "r", runtime) as run, open_learner(run) as learner:
        assert isinstance(learner, FsdpLearner)
        student = learner.work.student
        assert not run.student.directory.is_relative_to(tmp_path)
        assert student.directory.is_relative_to(tmp_path)
        assert student.load().state_dict().keys() == run.student.module.state_dict().keys()
    assert not any((tmp_path / "tmp").iterdir())
