"""A study by the command, one of whose workers is killed, and which is stopped, on the way to its report."""

import json
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from schemas.study import StudyRun
from tests.flows.conftest import Commanded
from tests.flows.prefect_records import flow_runs, task_runs
from tests.flows.test_stops import Stop, stop, wait_for
from tests.pipelines import start, tracked, zppo
from tests.tiny_studies import NAME, STUDY, run_here, write_study
from zppo.layout import RunPaths
from zppo.study.grid import StudyPlan, load_plan
from zppo.study.records import read_records, report_text

pytestmark = pytest.mark.timeout(600)

HARMED = RunPaths(f"{NAME}.zppo.s0")
ROUNDS = 5


@dataclass(frozen=True)
class Story:
    """What happened to the study."""

    file: Path
    home: Path
    plan: StudyPlan
    harmed: "subprocess.CompletedProcess[str]"
    """A worker was killed."""
    done_then: set[str]
    stopped: Stop
    last: "subprocess.CompletedProcess[str]"
    again: "subprocess.CompletedProcess[str]"
    undisturbed: Path
    """A home whose runs nothing disturbed."""


@pytest.fixture(scope="module")
def story(finished: Commanded, tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> Story:
    home, undisturbed = tmp_path_factory.mktemp("study") / "runs", tmp_path_factory.mktemp("undisturbed")
    # Making Prefect's database takes longer than everything else; what is in it already stays apart by name.
    shutil.copytree(finished.home / "prefect", home / "prefect")
    settings = [*STUDY["set"], f"rounds={ROUNDS}"]
    variants = [{"seeds": [0, 1], **STUDY["variants"][0]}, *STUDY["variants"][1:]]
    file = write_study(tmp_path_factory.mktemp("file"), set=settings, variants=variants)
    plan = load_plan(str(file))
    arguments = ("study", str(file), "--jobs", "2")
    first = start(*arguments, home=home)
    wait_for(first, home / HARMED.update(1))
    os.kill(json.loads((home / HARMED.root / "run.lock").read_text())["pid"], signal.SIGKILL)
    # Meanwhile, so that the two cores share the work.
    shutil.copy(mlflow_database, undisturbed / "mlflow.db")
    run_here(plan, undisturbed)
    output, errors = first.communicate(timeout=200)
    done_then = set(read_records(plan, home))
    stopped = halt(start(*arguments, home=home), home)
    last, again = zppo(*arguments, home=home), zppo(*arguments, home=home)
    harmed = subprocess.CompletedProcess(first.args, first.returncode, output, errors)
    return Story(file, home, plan, harmed, done_then, stopped, last, again, undisturbed)


def halt(process: "subprocess.Popen[str]", home: Path) -> Stop:
    return stop(process, home, HARMED.collect(3), signal.SIGTERM, False, run=HARMED.name)


def sittings(story: Story) -> list[str]:
    """How the flow runs of the study ended."""
    return [state for name, state in flow_runs(story.home) if name == f"study {NAME}"]


def without_seconds(run: StudyRun) -> StudyRun:
    curve = tuple(point.model_copy(update={"seconds": 0.0}) for point in run.curve)
    return run.model_copy(update={"curve": curve})


def test_a_run_whose_process_dies_is_named_and_the_others_go_on(story: Story) -> None:
    assert story.harmed.returncode == 1
    assert f"1 of the 3 runs of the study '{NAME}' failed" in story.harmed.stderr
    assert f"  {HARMED.name}: its process was ended by SIGKILL" in story.harmed.stderr
    assert story.done_then == {run.name for run in story.plan.runs} - {HARMED.name}


def test_sigterm_stops_at_a_commit_with_code_143_and_says_how_to_go_on(story: Story) -> None:
    assert (story.stopped.code, story.stopped.survivors) == (143, [])
    again = f"zppo study {story.file} --jobs 2 --home {story.home}"
    assert story.stopped.errors == f"\nstopped; go on with: {again}\n"
    assert story.stopped.mlflow == "KILLED"


def test_a_study_that_was_disturbed_has_the_records_of_one_that_was_not(story: Story) -> None:
    ours, theirs = (read_records(story.plan, home) for home in (story.home, story.undisturbed))
    assert len(ours) == 3
    assert {name: without_seconds(run) for name, run in ours.items()} == {
        name: without_seconds(run) for name, run in theirs.items()
    }


def test_the_last_sitting_goes_on_and_ends_with_the_report(story: Story) -> None:
    assert (story.last.returncode, story.last.stderr) == (0, "")
    assert ": reuses data, teacher pool and round" in story.last.stdout
    assert f"study       {3 * ROUNDS}/{3 * ROUNDS}" in story.last.stdout
    assert story.last.stdout.endswith(f"{report_text(story.plan, story.home)}\n")


def test_a_finished_study_prints_its_report_and_starts_nothing(story: Story) -> None:
    assert (story.again.returncode, story.again.stderr) == (0, "")
    assert story.again.stdout == f"{report_text(story.plan, story.home)}\n"
    assert len(sittings(story)) == 3


def test_prefect_shows_every_run_as_a_task(story: Story) -> None:
    assert sittings(story) == ["FAILED", "CRASHED", "COMPLETED"]
    done = {name for name, state in task_runs(story.home) if state == "COMPLETED"}
    assert done >= {"prepare", "report", *(run.name for run in story.plan.runs)}


def test_mlflow_shows_every_run_and_every_round_of_it_once(story: Story) -> None:
    ours, theirs = tracked(story.home), tracked(story.undisturbed)
    assert {ours[f"run {run.name}"] for run in story.plan.runs} == {"FINISHED"}
    assert ours.keys() == theirs.keys()  # each with how often it is there


def test_data_and_pool_are_made_once(story: Story) -> None:
    for stage in ("prepare", "precompute"):
        assert len(list((story.home / "store" / stage).iterdir())) == 1
