from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_metric_name

from schemas.config.evaluation import EvaluationConfig
from zppo.tracking.naming import metric_name, parameters

PARTS = st.lists(
    st.text(max_size=300) | st.sampled_from([".", "..", "", "a/b", "k=3", "größe"]), min_size=1, max_size=4
)


@given(PARTS)
def test_mlflow_accepts_every_name(parts: list[str]) -> None:
    name = metric_name(*parts)
    _validate_metric_name(name)
    assert len(name) <= 250


@given(PARTS, PARTS)
def test_different_parts_give_different_names(first: list[str], second: list[str]) -> None:
    assert (metric_name(*first) == metric_name(*second)) == (first == second)


def test_good_names_stay_as_they_are() -> None:
    assert metric_name("evaluation", "student", "gsm8k", "accuracy") == "evaluation/student/gsm8k/accuracy"


def test_a_recipe_becomes_flat_parameters() -> None:
    flat = parameters(EvaluationConfig(max_questions=None))
    assert flat["decoding.temperature"] == "0.6"
    assert flat["max_questions"] == "null"
    assert flat["teacher"] == "true"
