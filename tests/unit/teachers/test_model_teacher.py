"""Teachers over the transformers engine, on a tiny random model."""

from pathlib import Path

import pytest

from schemas.config.models import SamplingConfig, TransformersEngineConfig
from schemas.question import Question
from tests.fakes.grader import TextGrader
from tests.tiny import tiny_chat, tiny_model
from zppo.engines.transformers import TransformersEngine
from zppo.ports import Visit
from zppo.sampling import training_decoding
from zppo.stages.precompute import Precomputation, precompute
from zppo.teachers.adapters import OnlineTeacher, TeacherName
from zppo.teachers.pool import RESPONSES, PoolTable
from zppo.teachers.sources import ModelSource
from zppo.teachers.text import EngineText

QUESTIONS = [Question(id=f"q{i}", source="s", text=f"w{i} w{i + 1}", answer="w3") for i in range(5)]


@pytest.fixture(scope="module")
def source() -> ModelSource:
    engine = TransformersEngine(tiny_model("llama"), tiny_chat(), TransformersEngineConfig())
    decoding = training_decoding(SamplingConfig(max_response_tokens=12))
    return ModelSource(EngineText(engine, decoding), lambda question: question.text, 12)


def test_a_visit_gets_the_same_responses_whoever_is_asked_beside_it(source: ModelSource) -> None:
    teacher = OnlineTeacher(source, TextGrader(), TeacherName("t"))
    visits = [
        Visit(question=question, served=0, count=3, seed=index) for index, question in enumerate(QUESTIONS)
    ]
    together = teacher.respond(visits)
    assert [answer.drawn for answer in together] == [3] * 5
    assert [teacher.respond([visit])[0] for visit in visits] == together


def test_a_pool_holds_distinct_responses_of_the_model(source: ModelSource, tmp_path: Path) -> None:
    report = precompute(QUESTIONS, Precomputation(source, TextGrader(), 4, seed=1), tmp_path / "p", tmp_path)
    assert (report.questions, report.responses, report.failed) == (5, 20, 0)
    assert 20 <= report.tokens <= 20 * 12
    texts = [each.text for each in PoolTable(tmp_path / RESPONSES).responses("q0")]
    assert len(set(texts)) > 1
