"""When a run may be evaluated, and which models stay loaded on the way there."""

import pytest

from schemas.config.run import Runtime
from tests.pipelines import recipe
from zppo.errors import InputError
from zppo.wiring.context import open_run
from zppo.wiring.evaluate import run_evaluate
from zppo.wiring.precompute import run_precompute


def test_a_run_with_rounds_left_is_not_evaluated(tmp_path):
    with (
        open_run(recipe(tmp_path), "early", Runtime(home=tmp_path)) as run,
        pytest.raises(InputError, match=r"0 of 5 rounds.*zppo resume early"),
    ):
        run_evaluate(run)


def test_a_teacher_that_the_rounds_do_not_ask_is_let_go_after_precomputation(tmp_path):
    with open_run(recipe(tmp_path), "pooled", Runtime(home=tmp_path)) as run:
        run_precompute(run)
        assert run.teacher is not None
        assert "module" not in vars(run.teacher)
