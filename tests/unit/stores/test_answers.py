from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.evaluation import AnsweringCost, EvaluationAnswer
from zppo.errors import StoreError
from zppo.stores.answers import ANSWER_SCHEMA, read_answers, write_answers

ANSWERS = st.lists(
    st.builds(
        EvaluationAnswer,
        question_id=st.text(),
        source=st.text(),
        kind=st.text(),
        in_distribution=st.booleans(),
        sample=st.integers(0, 100),
        outcome=st.sampled_from(["correct", "wrong", "engine_error"]),
        answer=st.none() | st.text(),
        tokens=st.integers(0, 2**31 - 1),
        text=st.text(),
    ),
    max_size=5,
)


@given(ANSWERS)
def test_answers_read_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, answers: list[EvaluationAnswer]
) -> None:
    file = tmp_path_factory.mktemp("answers") / "answers.parquet"
    write_answers(file.parent, answers, AnsweringCost(seconds=1.0))
    assert read_answers(file) == answers


def test_the_file_has_a_column_for_every_field() -> None:
    assert ANSWER_SCHEMA.names == list(EvaluationAnswer.model_fields)


def test_rows_of_another_version_are_refused_with_their_file_their_stage_and_a_remedy(tmp_path: Path) -> None:
    file = tmp_path / "answers.parquet"
    pq.write_table(pa.table({"question_id": ["q1"], "outcome": ["unheard of"]}), file)
    with pytest.raises(StoreError, match=r"cannot read .*answers\.parquet: .*repeats the stage 'answers'"):
        read_answers(file)
