"""The whole pipeline by its command: what it leaves in store, Prefect and MLflow, and on the terminal."""

import os
import re
from collections import Counter
from pathlib import Path

import pytest
from pydantic import BaseModel

from schemas.checkpoint import LearnerState
from schemas.evaluation import Evaluation
from schemas.prepared import PreparedData
from schemas.promotion import PromotionDecision
from schemas.report import RoundTimings, StepReport, ValidationReport
from schemas.run import RunRecord, RunStatus
from schemas.state import TrainState
from schemas.teacher import TeacherPool
from tests.flows.conftest import Commanded
from tests.flows.prefect_records import artifact_keys, flow_runs, task_runs
from tests.pipelines import NAME, ROUNDS, results, tracked, zppo
from zppo.core.metrics import round_metrics
from zppo.layout import RunPaths
from zppo.stages.timings import read_timings
from zppo.stages.train import read_reports
from zppo.stores.answers import read_answers
from zppo.stores.local import MANIFEST, LocalStore
from zppo.stores.locks import exclusive
from zppo.stores.rounds import read_round
from zppo.tracking.naming import metric_name

ARTIFACTS: dict[str, type[BaseModel]] = {
    "tiny/run/run.json": RunRecord,
    "tiny/base/validation.json": ValidationReport,
    "tiny/rounds/*/update/report.json": StepReport,
    "tiny/rounds/*/update/timings.json": RoundTimings,
    "tiny/checkpoints/*/state.json": TrainState,
    "tiny/checkpoints/*/learner.json": LearnerState,
    "tiny/evaluate/evaluation.json": Evaluation,
    "tiny/promote/decision.json": PromotionDecision,
    "store/prepare/*/report.json": PreparedData,
    "store/precompute/*/report.json": TeacherPool,
}
LINES = (
    r"prepare +\d+ training, \d+ validation, \d+ test questions; .*",
    r"precompute +.*",
    r"train +[1-5]/5 .*",
    r"evaluate (base|student|teacher) .*",
    r"promote +.*",
)
"""All that a good run says before its summary."""


def test_a_run_says_how_far_it_is_then_its_summary_and_no_library_says_anything(
    finished: Commanded,
) -> None:
    assert (finished.done.returncode, finished.done.stderr) == (0, "")
    said, summary = finished.done.stdout.split(f"\n# {NAME}: ")
    for line in said.strip().splitlines():
        assert any(re.fullmatch(pattern, line) for pattern in LINES), line
    assert "| held out |" in summary


def test_every_artifact_is_committed_whole_and_validates(finished: Commanded) -> None:
    store = LocalStore(finished.home)
    manifests = [
        store.verify(str(file.parent.relative_to(finished.home))) for file in finished.home.rglob(MANIFEST)
    ]
    stages = Counter(manifest.identity.stage for manifest in manifests)
    assert stages == {
        **dict.fromkeys(("prepare", "precompute", "run", "base", "evaluate", "promote", "summary"), 1),
        "collect": ROUNDS,
        "update": ROUNDS,
        "answers": 3,
        "checkpoint": stages["checkpoint"],
    }
    assert stages["checkpoint"] >= 2
    for pattern, schema in ARTIFACTS.items():
        files = [*finished.home.glob(pattern)]
        assert files, pattern
        for file in files:
            schema.model_validate_json(file.read_bytes())
    for index in range(1, ROUNDS + 1):
        read_round(finished.home / RunPaths(NAME).collect(index))
    for answers in finished.home.glob("store/answers/*/answers.parquet"):
        read_answers(answers)


def test_the_rounds_draw_every_kind_of_prompt_and_train(finished: Commanded) -> None:
    reports = read_reports(LocalStore(finished.home), RunPaths(NAME))
    assert {kind.kind for report in reports for kind in report.kinds} == {"plain", "bcq", "ncq"}
    assert any(report.replayed_questions for report in reports)
    assert any(update.grad_norm > 0 for report in reports for update in report.updates)
    drifts = [report.drift for report in reports]
    assert all(drift is not None and drift.max < 1e-4 for drift in drifts)


def test_mlflow_shows_every_metric_of_every_round_once(finished: Commanded) -> None:
    shown, store, paths = tracked(finished.home), LocalStore(finished.home), RunPaths(NAME)
    for report in read_reports(store, paths):
        expected = {
            f"metric {metric_name(*name.split('/'))} at {report.round}"
            for name in round_metrics(report, read_timings(store, paths, report.round))
            if not name.startswith("seconds/")
        }
        assert {name for name in shown if name.endswith(f" at {report.round}")} == {
            *expected,
            f"metric round at {report.round}",
        }
    assert not [name for name in shown if " times " in name]


def test_mlflow_shows_one_finished_run_with_its_recipe_data_and_evaluation(finished: Commanded) -> None:
    shown = tracked(finished.home)
    assert [shown[name] for name in shown if name.startswith("run ")] == ["FINISHED"]
    assert shown["parameter method.type"] == "zppo"
    assert shown["parameter student.model"] == "pocket/student"
    assert {name.split()[1] for name in shown if name.startswith("data ")} == {"chains", "long"}
    for role in ("base", "student", "teacher"):
        assert f"metric evaluation/{role}/in_distribution/accuracy at 0" in shown
        assert f"metric evaluation/{role}/source/long/accuracy at 0" in shown


def test_the_best_checkpoint_is_registered_with_its_lineage(finished: Commanded) -> None:
    shown, paths, store = tracked(finished.home), RunPaths(NAME), LocalStore(finished.home)
    version = "tag zppo-student 1 zppo."
    checkpoint = paths.checkpoint(int(shown[f"{version}round"]))
    manifests = {
        "run": paths.manifest, "checkpoint": checkpoint, "evaluation": paths.evaluation
    }  # fmt: skip
    for name, path in manifests.items():
        manifest = store.read(path)
        assert manifest is not None
        assert shown[f"{version}{name}_fingerprint"] == manifest.fingerprint
    assert shown[f"{version}run"] == NAME
    (registered,) = (finished.home / "mlartifacts").rglob("model.safetensors")
    assert registered.read_bytes() == store.file(checkpoint, "model.safetensors").read_bytes()


def test_the_alias_moves_if_the_decision_says_so(finished: Commanded) -> None:
    decision = LocalStore(finished.home).file(RunPaths(NAME).promotion, "decision.json").read_bytes()
    promoted = PromotionDecision.model_validate_json(decision).promoted
    assert tracked(finished.home).get("alias zppo-student champion") == ("1" if promoted else None)


def test_prefect_shows_the_run_by_its_name_with_its_tasks_and_artifacts(finished: Commanded) -> None:
    assert flow_runs(finished.home) == [(NAME, "COMPLETED")]
    rounds = [f"{task} {index}" for index in range(1, ROUNDS + 1) for task in ("collect", "update")]
    expected = ["prepare", "precompute", *rounds, "evaluate", "promote"]
    assert task_runs(finished.home) == [(name, "COMPLETED") for name in expected]
    assert artifact_keys(finished.home) == {"progress", "rounds", "summary"}


@pytest.mark.parametrize("command", ["run", "resume"])
def test_repeating_a_finished_command_shows_the_summary_and_changes_nothing(
    finished: Commanded, command: str
) -> None:
    before = results(finished.home)
    again = zppo(command, str(finished.recipe) if command == "run" else NAME, home=finished.home)
    assert (again.returncode, again.stderr) == (0, "")
    assert finished.done.stdout.split("\n# ")[1] in again.stdout
    assert results(finished.home) == before
    assert len(flow_runs(finished.home)) == 1


def test_the_status_of_a_finished_run_says_so(finished: Commanded) -> None:
    shown = RunStatus.model_validate_json(zppo("status", NAME, "--json", home=finished.home).stdout)
    assert (shown.state, shown.rounds_done) == ("finished", ROUNDS)


def test_another_recipe_under_the_same_name_is_refused_with_what_changed(finished: Commanded) -> None:
    refused = zppo(
        "run", str(finished.recipe), "--set", "method.tau=0.4", "--set", "rounds=6", home=finished.home
    )
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "recipe.method.tau: 0.5 -> 0.4\n" in refused.stderr
    assert "recipe.rounds: 5 -> 6\n" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert len(flow_runs(finished.home)) == 1


def test_a_second_process_on_a_run_says_who_holds_it_and_leaves(finished: Commanded, tmp_path: Path) -> None:
    with exclusive(tmp_path / "runs" / RunPaths(NAME).root):
        second = zppo("run", str(finished.recipe), home=tmp_path / "runs")
    assert (second.returncode, second.stdout) == (1, "")
    assert f"is in use by process {os.getpid()} on " in second.stderr
    assert "Traceback" not in second.stderr
