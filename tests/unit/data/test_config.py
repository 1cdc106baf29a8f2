import pytest
from pydantic import ValidationError

from schemas.config.data import DataConfig, FilesSource, PocketSource


def test_two_sources_of_one_name_are_refused() -> None:
    with pytest.raises(ValidationError, match="twice or more: a"):
        DataConfig(sources=(PocketSource(name="a"), PocketSource(name="a")))


def test_evaluation_sources_alone_are_refused() -> None:
    with pytest.raises(ValidationError, match="nothing to train on"):
        DataConfig(sources=(PocketSource(name="a", role="evaluate"),))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("answer_pattern", "####.+", "needs a group"),
        ("answer_pattern", "####(", "not a regular expression"),
        ("question_template", "no place", "must hold {question}"),
    ],
)
def test_a_setting_that_cannot_work_is_refused(field: str, value: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        FilesSource.model_validate({"name": "a", "paths": ["x"], field: value})
