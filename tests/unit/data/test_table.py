from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.question import Question
from zppo.data import table
from zppo.data.table import QUESTION_SCHEMA, QuestionTable, read_questions, write_questions
from zppo.errors import StoreError

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
questions = st.builds(
    Question,
    id=texts,
    source=texts,
    kind=texts,
    text=texts,
    answer=texts,
    answer_kind=st.sampled_from(["exact", "numeric", "math", "choice", "free"]),
    choices=st.lists(texts, max_size=3).map(tuple),
    reference_solution=st.none() | texts,
    pass_rate=st.none() | st.floats(0, 1),
    images=st.lists(texts, max_size=2).map(tuple),
)
tables = st.lists(questions, unique_by=lambda q: q.id, max_size=20).map(
    lambda rows: sorted(rows, key=lambda q: q.id)
)


@given(tables, st.integers(1, 4))
@settings(max_examples=50)
def test_questions_come_back_by_order_position_and_id(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Question], group_rows: int
) -> None:
    path = tmp_path_factory.mktemp("table") / "q.parquet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "GROUP_ROWS", group_rows)
        assert write_questions(path, rows) == len(rows)
    assert list(read_questions(path)) == rows
    opened = QuestionTable(path)
    assert len(opened) == len(rows)
    assert opened.at(reversed(range(len(rows)))) == rows[::-1]
    assert [opened.by_id(row.id) for row in rows] == rows


def test_every_field_of_a_question_has_a_column() -> None:
    assert set(QUESTION_SCHEMA.names) == set(Question.model_fields)


def test_what_is_not_in_the_table_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "q.parquet"
    write_questions(path, [Question(id="b", source="s", text="t", answer="1")])
    opened = QuestionTable(path)
    for absent in ("a", "c"):
        with pytest.raises(StoreError, match=f"'{absent}' is not in the prepared data"):
            opened.by_id(absent)
    for position in (-1, 1):
        with pytest.raises(IndexError):
            opened[position]


def test_a_question_of_a_newer_version_is_an_error_that_names_file_and_stage(tmp_path: Path) -> None:
    path = tmp_path / "q.parquet"
    write_questions(path, [Question(id="b", source="s", text="t", answer="1")])
    rows = pq.read_table(path, schema=QUESTION_SCHEMA).to_pylist()
    newer = pa.Table.from_pylist([row | {"schema_version": 99} for row in rows], QUESTION_SCHEMA)
    pq.write_table(newer, path)
    for read in (lambda: QuestionTable(path).by_id("b"), lambda: list(read_questions(path))):
        with pytest.raises(StoreError, match=r"q\.parquet: .*newer program.*the stage 'prepare'"):
            read()


def test_a_file_that_is_no_table_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"absent\.parquet"):
        QuestionTable(tmp_path / "absent.parquet")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    with pytest.raises(StoreError, match=r"torn\.parquet"):
        QuestionTable(tmp_path / "torn.parquet")
