"""A model that is evaluated without a run that trains it."""

from io import StringIO
from pathlib import Path

from schemas.config.run import Runtime
from tests.pipelines import recipe
from zppo.progress import Lines
from zppo.runs import status
from zppo.wiring.context import open_run
from zppo.wiring.examine import evaluate_alone


def test_an_evaluation_alone_is_shown_as_evaluated_and_not_as_a_run_that_stopped(tmp_path: Path) -> None:
    config = recipe(tmp_path, "teacher={type: none}", "method={type: grpo, group_size: 4}")
    with open_run(config, "weekly", Runtime(home=tmp_path), Lines(StringIO())) as run:
        assert status(tmp_path, "weekly").state == "running"
        evaluate_alone(run)
    shown = status(tmp_path, "weekly")
    assert (shown.state, shown.rounds_done) == ("evaluated", 0)
    assert shown.student_accuracy is not None
