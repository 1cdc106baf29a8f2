"""Trainings that want the one GPU, and a second machine that has another; three minutes on two cores."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.compose import FOLDER
from tests.deploy.conftest import SHORT, Trained, seen_together
from tests.deploy.installation import Installation, deploy

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(1200)]
WAITING = {"SCHEDULED", "PENDING"}


def test_never_two_trainings_run_at_a_time_and_the_one_that_waited_runs_then(trained: Trained) -> None:
    assert ("RUNNING", "RUNNING") not in trained.seen
    others = {second for first, second in trained.seen if first == "RUNNING"}
    others |= {first for first, second in trained.seen if second == "RUNNING"}
    assert others & WAITING
    assert others <= WAITING | {"COMPLETED"}
    assert [each["name"] for each in trained.ended] == ["Completed", "Completed"]


@pytest.fixture
def two_machines(place: Installation, tmp_path: Path) -> Iterator[Installation]:
    """As the runbook says: another worker, the pool's limit, and the one of the deployment `train`."""
    content = yaml.safe_load((FOLDER / "prefect.yaml").read_text())
    (train,) = [each for each in content["deployments"] if each["name"] == "train"]
    train["concurrency_limit"] = {**train["concurrency_limit"], "limit": 2}
    (tmp_path / "prefect.yaml").write_text(yaml.safe_dump(content))
    shutil.copytree(FOLDER / "automations", tmp_path / "automations")
    command = [sys.executable, "-m", "flows.deploying", str(tmp_path), "--gpus", "2"]
    done = subprocess.run(command, env=place.settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    place.start_worker("gpu", "another-gpu")
    yield place
    place.kill_worker("another-gpu")
    deploy(place.settings)


def test_a_second_gpu_machine_trains_beside_the_first(two_machines: Installation) -> None:
    config: dict[str, Any] = {**SHORT, "rounds": 4}
    begun = [two_machines.start("train", {"config": config, "name": name}) for name in ("here", "there")]
    seen = seen_together(two_machines, begun)
    assert ("RUNNING", "RUNNING") in seen
    assert [two_machines.state_of(each)["type"] for each in begun] == ["COMPLETED"] * 2, two_machines.said()


def test_deploying_what_is_shipped_leaves_one_gpu_to_one_flow_run_again(place: Installation) -> None:
    deploy(place.settings)
    assert place.get("work_pools/gpu")["concurrency_limit"] == 1
    limit = place.deployment("train")["global_concurrency_limit"]
    assert limit["limit"] == 1
