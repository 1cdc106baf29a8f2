import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.config.models import DecodingConfig
from schemas.question import Question
from tests.fakes.engine import EOS, ScriptedEngine
from tests.fakes.grader import TextGrader
from zppo.core.answers import last_boxed
from zppo.errors import InputError
from zppo.ports import GenerationFailure
from zppo.teachers.sources import (
    Ask,
    Drawn,
    ModelSource,
    RecordedSource,
    ReferenceSource,
    grade_drawn,
    reference_response,
)
from zppo.teachers.text import EngineText


def question(id: str, answer: str = "13", solution: str | None = None) -> Question:
    return Question(id=id, source="s", text=f"text of {id}", answer=answer, reference_solution=solution)


def ask(id: str, count: int, solution: str | None = None) -> Ask:
    return Ask(question(id, solution=solution), tuple(range(count)))


def test_a_model_answers_the_rendered_prompt_once_a_seed() -> None:
    engine = ScriptedEngine(lambda id, index: rf"\boxed{{{id}{index}}}")
    source = ModelSource(EngineText(engine, DecodingConfig()), lambda each: f"please: {each.text}", 12288)
    drawn = source.draw([ask("a", 2), ask("b", 1)])

    def response(text: str) -> Drawn:
        return Drawn(text, (*engine.tokenize(text), EOS), counted=2)

    assert drawn == [(response(r"\boxed{a0}"), response(r"\boxed{a1}")), (response(r"\boxed{b0}"),)]
    assert engine.requests[0].prompt_ids == engine.encode("please: text of a")
    assert source.draw([]) == []


@pytest.mark.parametrize(
    ("solution", "response"),
    [
        (r"9 + 4 = \boxed{13}", r"9 + 4 = \boxed{13}"),
        ("9 + 4 = 13\n", "9 + 4 = 13\n\\boxed{13}"),
        (None, None),
    ],
)
def test_a_reference_solution_ends_in_a_box(solution: str | None, response: str | None) -> None:
    assert reference_response(question("a", solution=solution)) == response


@given(st.text(), st.from_regex(r"[0-9a-z]{1,9}", fullmatch=True))
def test_a_solution_without_a_box_gets_the_gold_answer(solution: str, answer: str) -> None:
    response = reference_response(question("a", answer, solution))
    assert response is not None
    assert last_boxed(response) == answer


def test_a_reference_is_one_response_however_many_are_wanted() -> None:
    assert ReferenceSource().draw([ask("a", 4, r"\boxed{1}"), ask("b", 4)]) == [(Drawn(r"\boxed{1}"),), ()]


def test_a_wrong_reference_solution_is_graded_wrong() -> None:
    asks = [ask("a", 1, r"\boxed{12}")]
    assert grade_drawn(asks, ReferenceSource().draw(asks), TextGrader())[0][0].outcome == "wrong"


def test_failures_are_errors_and_never_wrong_answers() -> None:
    asks = [ask("a", 3)]
    drawn = [(GenerationFailure("no room"), Drawn(r"\boxed{crash}"), Drawn(r"\boxed{13}"))]
    pooled = grade_drawn(asks, drawn, TextGrader())[0]
    assert [response.outcome for response in pooled] == ["engine_error", "grader_error", "correct"]
    assert [response.cause for response in pooled] == ["no room", "asked to crash", ""]
    assert [response.index for response in pooled] == [0, 1, 2]


def test_a_response_keeps_the_tokens_that_were_drawn_and_their_number() -> None:
    asks = [ask("a", 2)]
    (pooled,) = grade_drawn(asks, [(Drawn(r"\boxed{13}", (5, 6, 0)), Drawn("copied"))], TextGrader())
    assert [(each.token_ids, each.tokens) for each in pooled] == [((5, 6, 0), 3), ((), 0)]


def test_recorded_responses_are_found_by_id_and_by_text(tmp_path: Path) -> None:
    path = tmp_path / "recorded.jsonl"
    records = [
        {"question_id": "a", "response": "a1", "model": "left alone"},
        {"question": "text of b", "response": "b1"},
        {"question_id": "a", "response": "ä2 "},
        {"question_id": "a", "response": "a3"},
    ]
    path.write_text("\n\n".join(json.dumps(each, ensure_ascii=False) for each in records), encoding="utf-8")
    drawn = RecordedSource(path).draw([ask("a", 2), ask("b", 2), ask("c", 2)])
    assert drawn == [(Drawn("a1"), Drawn("ä2 ")), (Drawn("b1"),), ()]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(responses=st.lists(st.tuples(st.sampled_from("abc"), st.text()), max_size=10))
def test_recorded_responses_come_back_in_the_order_of_the_file(
    tmp_path: Path, responses: list[tuple[str, str]]
) -> None:
    path = tmp_path / "recorded.jsonl"
    path.write_text(
        "".join(json.dumps({"question_id": id, "response": text}) + "\n" for id, text in responses)
    )
    (drawn,) = RecordedSource(path).draw([ask("a", 100)])
    assert [each.text for each in drawn if isinstance(each, Drawn)] == [
        text for id, text in responses if id == "a"
    ]


@pytest.mark.parametrize("line", ["not json", '{"response": "x"}', '{"question": "x"}', "[]", '"\xff'])
def test_a_bad_line_is_named_by_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "recorded.jsonl"
    path.write_text('{"question": "a", "response": "b"}\n' + line, encoding="latin-1")
    with pytest.raises(InputError, match="line 2"):
        RecordedSource(path)


def test_a_missing_file_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        RecordedSource(tmp_path / "none.jsonl")
