"""When a run may be evaluated, and which models stay loaded on the way there."""

import pytest

from schemas.config.run import Runtime
from tests.pipelines import recipe
from zppo.errors import InputError
from zppo.wiring.context import open_run
from zppo.wiring.evaluate import model_answers, run_evaluate
from zppo.wiring.precompute import run_precompute
from zppo.wiring.prepare import run_prepare


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


def test_a_model_is_let_go_also_where_its_answers_are_there(tmp_path):
    with open_run(recipe(tmp_path), "answered", Runtime(home=tmp_path)) as run:
        prepared = run_prepare(run)
        answers = model_answers(run, "base", run.student, prepared)
        assert run.student.engine is not None
        assert model_answers(run, "base", run.student, prepared) == answers
        assert not {"engine", "module"} & vars(run.student).keys()
