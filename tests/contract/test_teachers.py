"""What every adapter of the ports `Teacher` and `Compressor`, and their fakes, must do."""

from collections import Counter
from pathlib import Path
from string import Template

import pytest

from schemas.config.models import DecodingConfig
from schemas.config.teacher import ExtractiveCompression, TeacherCompression
from schemas.question import Question
from schemas.teacher import AnsweredQuestion
from tests.fakes.compressor import FirstWords
from tests.fakes.engine import EOS, ScriptedEngine
from tests.fakes.grader import TextGrader
from tests.fakes.teacher import ScriptedTeacher
from zppo.core.answers import last_boxed
from zppo.core.hints import reveals
from zppo.core.values import Original
from zppo.ports import Compressor, Teacher, Visit
from zppo.teachers.adapters import OnlineTeacher, PoolTeacher, TeacherName
from zppo.teachers.compressors import ExtractiveCompressor, TeacherCompressor
from zppo.teachers.hints import HintWriter
from zppo.teachers.pool import PoolTable, write_pool
from zppo.teachers.sources import Ask, ModelSource, grade_drawn
from zppo.teachers.text import EngineText

QUESTIONS = {id: Question(id=id, source="s", text=f"text {id}", answer="13") for id in ("a", "b", "c")}


def script(id: str, index: int) -> str:
    """Every third response is wrong; no two are the same."""
    return rf"{id} {index} \boxed{{{12 if index % 3 == 0 else 13}}}"


def hint(id: str, index: int) -> str | None:
    """What the hints should be: `b` has none, since the teacher gives its answer away."""
    return None if id == "b" else f"begin with {id}"


def written_hint(request_id: str, index: int) -> str:
    """What the teacher writes into its hints."""
    id = request_id.removeprefix("hint/").partition("#")[0]
    return f"<hint> {hint(id, index) or 'it is 13'} </hint>"


def words(text: str) -> int:
    return len(text.split())


ENGINE = ScriptedEngine(script)
WRITER = HintWriter(
    EngineText(ScriptedEngine(written_hint), DecodingConfig()), Template("$question $response"), 8, words
)
NAME = TeacherName("the teacher", "label")


def drawn_tokens(text: str) -> tuple[int, ...]:
    return (*ENGINE.tokenize(text), EOS)


def source() -> ModelSource:
    return ModelSource(EngineText(ENGINE, DecodingConfig()), lambda question: question.text, 12288)


def pool(path: Path, count: int) -> PoolTable:
    asks = [Ask(question, tuple(range(count))) for question in QUESTIONS.values()]
    graded = grade_drawn(asks, source().draw(asks), TextGrader())
    graded = WRITER.add(list(QUESTIONS.values()), graded, [1, 2, 3])
    write_pool(
        path,
        [
            AnsweredQuestion(question_id=ask.question.id, responses=responses, seconds=0)
            for ask, responses in zip(asks, graded, strict=True)
        ],
    )
    return PoolTable(path)


@pytest.fixture(params=["fake", "online", "plain", "reuse", "pool then online"])
def teacher(request: pytest.FixtureRequest, tmp_path: Path) -> Teacher:
    online = OnlineTeacher(source(), TextGrader(), NAME, WRITER)
    table = pool(tmp_path / "pool.parquet", 8)
    teachers: dict[str, Teacher] = {
        "fake": ScriptedTeacher(script, pool=8, hint=hint, tokens=drawn_tokens),
        "online": online,
        "plain": PoolTeacher(table, NAME),
        "reuse": PoolTeacher(table, NAME, "reuse"),
        "pool then online": PoolTeacher(table, NAME, "online", online),
    }
    return teachers[request.param]


def visit(id: str, served: int = 0, count: int = 4) -> Visit:
    return Visit(question=QUESTIONS[id], served=served, count=count, seed=5)


def test_nobody_asked_gives_no_answers(teacher: Teacher) -> None:
    assert teacher.respond([]) == []


@pytest.mark.parametrize("served", [0, 4, 6, 8, 20])
def test_answers_come_in_order_and_hold_at_most_what_was_wanted(teacher: Teacher, served: int) -> None:
    answers = teacher.respond([visit("b", served), visit("a", served, 3)])
    assert all(len(answer.responses) <= count for answer, count in zip(answers, (4, 3), strict=True))
    assert all(each.text.startswith("b ") for each in answers[0].responses)
    assert all(each.text.startswith("a ") for each in answers[1].responses)


@pytest.mark.parametrize("served", [0, 6, 8])
def test_the_counts_account_for_every_response(teacher: Teacher, served: int) -> None:
    (answer,) = teacher.respond([visit("a", served)])
    assert len(answer.responses) == answer.served + answer.drawn + answer.reused


def test_responses_carry_the_graders_verdict(teacher: Teacher) -> None:
    (answer,) = teacher.respond([visit("c")])
    assert [each.correct for each in answer.responses] == [False, True, True, False]
    assert [each.answer for each in answer.responses] == ["12", "13", "13", "12"]


@pytest.mark.parametrize("served", [0, 6, 8])
def test_responses_carry_the_tokens_that_the_engine_drew(teacher: Teacher, served: int) -> None:
    (answer,) = teacher.respond([visit("a", served)])
    assert [each.token_ids for each in answer.responses] == [
        drawn_tokens(each.text) for each in answer.responses
    ]


@pytest.mark.parametrize("served", [0, 6, 8])
def test_correct_responses_carry_hints_that_do_not_give_the_answer_away(
    teacher: Teacher, served: int
) -> None:
    for id, answer in zip("abc", teacher.respond([visit(id, served) for id in "abc"]), strict=True):
        hints = {each.hint for each in answer.responses if each.correct}
        assert hints <= {hint(id, 0)}
        assert not any(reveals(text, ["13"]) for text in hints if text is not None)


@pytest.mark.parametrize("served", [0, 6, 8])
def test_every_response_says_whose_it_is_and_how_it_was_served(
    teacher: Teacher, served: int, request: pytest.FixtureRequest
) -> None:
    if isinstance(teacher, ScriptedTeacher):
        pytest.skip("the fake knows no names")
    (answer,) = teacher.respond([visit("a", served)])
    provenances = [each.provenance for each in answer.responses if each.provenance is not None]
    assert len(provenances) == len(answer.responses)
    assert {(each.teacher, each.revision) for each in provenances} <= {("the teacher", "label")}
    served_as = Counter(each.served for each in provenances)
    assert [served_as[how] for how in ("pool", "online", "reused")] == [
        answer.served,
        answer.drawn,
        answer.reused,
    ]


def test_one_visit_has_no_origin_twice(teacher: Teacher) -> None:
    for served in (0, 6, 8):
        origins = [each.origin for each in teacher.respond([visit("a", served)])[0].responses]
        assert len(set(origins)) == len(origins)


def test_the_same_visit_gets_the_same_answer(teacher: Teacher) -> None:
    visits = [visit("a", 6), visit("b")]
    assert teacher.respond(visits) == teacher.respond(visits)
    assert teacher.respond(visits[1:]) == teacher.respond(visits)[1:]


def summary(id: str, index: int) -> str:
    return r"<summary> it adds up to \boxed{13} </summary>"


@pytest.fixture(params=["fake", "extractive", "teacher"])
def compressor(request: pytest.FixtureRequest) -> Compressor:
    by_teacher = TeacherCompressor(
        TeacherCompression(),
        EngineText(ScriptedEngine(summary), DecodingConfig()),
        Template("$response"),
        words,
    )
    compressors: dict[str, Compressor] = {
        "fake": FirstWords("extractive"),
        "extractive": ExtractiveCompressor(ExtractiveCompression(), words),
        "teacher": by_teacher,
    }
    return compressors[request.param]


def test_nothing_to_shorten_gives_nothing(compressor: Compressor) -> None:
    assert compressor.compress([], []) == []


def test_a_shortened_text_keeps_the_answer(compressor: Compressor) -> None:
    originals = [Original(rf"step {i} and so on \boxed{{13}}", "13") for i in range(3)]
    shortened = compressor.compress(originals, [1, 2, 3])
    assert [last_boxed(each.text or "") for each in shortened] == ["13"] * 3


def test_the_kind_is_one_of_the_two(compressor: Compressor) -> None:
    assert compressor.kind in ("extractive", "teacher")
