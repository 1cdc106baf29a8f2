"""Two trainings that want the one GPU; a minute and a half on two cores."""

import pytest

from tests.deploy.conftest import Trained

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(1200)]
WAITING = {"SCHEDULED", "PENDING"}


def test_never_two_trainings_run_at_a_time_and_the_one_that_waited_runs_then(trained: Trained) -> None:
    assert ("RUNNING", "RUNNING") not in trained.seen
    others = {second for first, second in trained.seen if first == "RUNNING"}
    others |= {first for first, second in trained.seen if second == "RUNNING"}
    assert others & WAITING
    assert others <= WAITING | {"COMPLETED"}
    assert [each["name"] for each in trained.ended] == ["Completed", "Completed"]
