from pathlib import Path

import pyarrow.parquet as pq
import pytest

from schemas.config.models import DecodingConfig
from schemas.question import Question
from schemas.teacher import AnsweredQuestion, PooledResponse
from tests.fakes.engine import ScriptedEngine
from tests.fakes.grader import TextGrader
from zppo.errors import InputError, StoreError
from zppo.ports import TeacherAnswer, Visit
from zppo.teachers.adapters import OnlineTeacher, PoolTeacher, TeacherName, WhenDry
from zppo.teachers.pool import PoolTable, write_pool
from zppo.teachers.sources import ModelSource
from zppo.teachers.text import EngineText

NAME = TeacherName("t")


def response(index: int, correct: bool = True) -> PooledResponse:
    return PooledResponse(
        index=index,
        text=f"response {index}",
        outcome="correct" if correct else "wrong",
        answer=None if index % 2 else "13",
        summary="short" if correct else None,
        tokens=2,
        token_ids=(index, 2**31 - 1),
        hint="begin with" if correct else None,
        hint_outcome="accepted" if correct else None,
    )


def answered(id: str, *responses: PooledResponse) -> AnsweredQuestion:
    return AnsweredQuestion(question_id=id, responses=responses, seconds=0.5)


@pytest.fixture
def table(tmp_path: Path) -> PoolTable:
    """Question `q` with five responses, of which the third failed; `r` with one; 200 others."""
    failed = PooledResponse(index=2, text="", outcome="engine_error", answer=None, cause="no room")
    five = (response(0), response(1, correct=False), failed, response(3), response(4), response(5))
    others = [answered(f"other {i}", response(i), response(i + 1)) for i in range(200)]
    write_pool(
        tmp_path / "pool.parquet",
        [answered("q", *five), *others, answered("r", response(0)), answered("none")],
    )
    return PoolTable(tmp_path / "pool.parquet")


def online() -> OnlineTeacher:
    engine = ScriptedEngine(lambda id, index: r"\boxed{13}" if index else r"\boxed{crash}")
    return OnlineTeacher(
        ModelSource(EngineText(engine, DecodingConfig()), lambda each: each.text, 12288), TextGrader(), NAME
    )


def visit(served: int, count: int = 2, id: str = "q", seed: int = 7) -> Visit:
    question = Question(id=id, source="s", text="What?", answer="13")
    return Visit(question=question, served=served, count=count, seed=seed)


def texts(answer: TeacherAnswer) -> list[str]:
    return [each.text for each in answer.responses]


def test_what_is_written_is_read_back_by_question(table: PoolTable) -> None:
    assert len(table) == 202
    assert [each.origin for each in table.responses("q")] == [f"pool/q#{i}" for i in (0, 1, 3, 4, 5)]
    assert [each.correct for each in table.responses("q")] == [True, False, True, True, True]
    assert table.responses("q")[0].summary == "short"
    assert [each.hint for each in table.responses("q")[:2]] == ["begin with", None]
    assert [each.token_ids for each in table.responses("q")[2:4]] == [(3, 2**31 - 1), (4, 2**31 - 1)]
    assert [each.text for each in table.responses("other 130")] == ["response 130", "response 131"]
    assert table.responses("none") == table.responses("never asked") == ()


def test_failed_responses_are_not_in_the_pool(table: PoolTable) -> None:
    assert "pool/q#2" not in [each.origin for each in table.responses("q")]


def test_a_missing_pool_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="teacher pool"):
        PoolTable(tmp_path / "none.parquet")


def test_a_file_that_is_no_pool_is_refused_by_what_it_lacks(tmp_path: Path, table: PoolTable) -> None:
    other = pq.read_table(tmp_path / "pool.parquet").drop_columns(["answer", "text", "hint"])
    pq.write_table(other, tmp_path / "other.parquet")
    with pytest.raises(StoreError, match="lacks answer, text;"):
        PoolTable(tmp_path / "other.parquet")


def test_an_empty_pool_can_be_read(tmp_path: Path) -> None:
    write_pool(tmp_path / "pool.parquet", [])
    assert PoolTable(tmp_path / "pool.parquet").responses("q") == ()


@pytest.mark.parametrize("when_dry", ["plain", "reuse", "online"])
def test_unused_responses_come_first_and_none_twice(table: PoolTable, when_dry: WhenDry) -> None:
    teacher = PoolTeacher(table, NAME, when_dry, online())
    first, second = (teacher.respond([visit(served)])[0] for served in (0, 2))
    assert texts(first) + texts(second) == [f"response {i}" for i in (0, 1, 3, 4)]
    assert (first.served, first.drawn, first.reused) == (2, 0, 0)


def test_a_dry_pool_gives_what_is_left_under_plain(table: PoolTable) -> None:
    left, nothing = PoolTeacher(table, NAME).respond([visit(4), visit(5)])
    assert (texts(left), left.served) == (["response 5"], 1)
    assert (texts(nothing), nothing.served) == ([], 0)


def test_a_dry_pool_reuses_responses_of_earlier_visits(table: PoolTable) -> None:
    (answer,) = PoolTeacher(table, NAME, "reuse").respond([visit(4, count=3)])
    assert texts(answer)[0] == "response 5"
    assert (answer.served, answer.reused) == (1, 2)
    assert len(set(texts(answer))) == 3


def test_reuse_at_a_first_visit_invents_nothing(table: PoolTable) -> None:
    (answer,) = PoolTeacher(table, NAME, "reuse").respond([visit(0, count=4, id="r")])
    assert (texts(answer), answer.served, answer.reused) == (["response 0"], 1, 0)
    (again,) = PoolTeacher(table, NAME, "reuse").respond([visit(1, count=4, id="r")])
    assert (texts(again), again.served, again.reused) == (["response 0"], 0, 1)


def test_reuse_depends_on_the_visits_seed_alone(table: PoolTable) -> None:
    teacher = PoolTeacher(table, NAME, "reuse")
    seeds = [texts(teacher.respond([visit(5, count=3, seed=seed)])[0]) for seed in (1, 1, 2, 3, 4)]
    assert seeds[0] == seeds[1]
    assert len({tuple(each) for each in seeds}) > 1


def test_a_dry_pool_draws_the_rest_online(table: PoolTable) -> None:
    full, dry = PoolTeacher(table, NAME, "online", online()).respond([visit(0), visit(4, count=4)])
    assert (full.served, full.drawn) == (2, 0)
    assert (dry.served, dry.drawn) == (1, 3)
    assert [each.origin for each in dry.responses] == ["pool/q#5", "online/7/q#1", "online/7/q#2"]


def test_a_question_that_was_never_asked_is_drawn_online(table: PoolTable) -> None:
    (answer,) = PoolTeacher(table, NAME, "online", online()).respond([visit(0, id="new")])
    assert (answer.served, answer.drawn) == (0, 2)


def test_online_without_a_model_is_refused(table: PoolTable) -> None:
    with pytest.raises(InputError, match="needs a teacher model"):
        PoolTeacher(table, NAME, "online")
