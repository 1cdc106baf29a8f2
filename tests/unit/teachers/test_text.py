"""Texts over a chat endpoint."""

from collections.abc import Iterator
from contextlib import contextmanager
from string import Template

import pytest

from schemas.config.endpoints import EndpointAccess
from schemas.config.models import DecodingConfig
from schemas.config.teacher import TeacherCompression
from schemas.question import Question
from schemas.teacher import PooledResponse
from tests.endpoint_servers import Asked, ChatServer, Fault, chat_server
from tests.fakes.grader import TextGrader
from zppo.core.values import Original
from zppo.endpoints.client import ChatClient, Endpoint
from zppo.ports import GenerationFailure, Text, TextRequest
from zppo.teachers.compressors import TeacherCompressor
from zppo.teachers.hints import HintWriter
from zppo.teachers.sources import Ask, ModelSource, grade_drawn
from zppo.teachers.text import EndpointText

QUESTION = Question(id="q", source="s", text="start 9 +6 *2", answer="11")


@contextmanager
def endpoint(server: ChatServer, many: bool = False) -> Iterator[EndpointText]:
    with chat_server(server):
        access = EndpointAccess(url=server.url, retries=1)
        with ChatClient(Endpoint("teacher", "m", access), waits=(0.0, 0.0)) as client:
            yield EndpointText(client, DecodingConfig(), many_choices=many)


def by_seed(asked: Asked) -> str:
    return f"{asked.prompt} seed {asked.body['seed']}"


@pytest.mark.parametrize("many", [False, True])
def test_each_request_gets_a_text_for_every_seed_in_order(many: bool) -> None:
    server = ChatServer(reply=by_seed)
    with endpoint(server, many) as model:
        written = model.write([TextRequest("a", "one", (1, 2)), TextRequest("b", "two", (3,))], 9)
    expected = [["one seed 1", "one seed 1" if many else "one seed 2"], ["two seed 3"]]
    assert [[each.text for each in of] for of in written if isinstance(of[0], Text)] == expected  # type: ignore[union-attr]
    assert [[each.tokens for each in of] for of in written] == [[3, 3], [3]]  # type: ignore[union-attr]
    assert [[each.prompt_tokens for each in of] for of in written] == [[1, 0 if many else 1], [1]]  # type: ignore[union-attr]
    assert all(asked.body["max_tokens"] == 9 for asked in server.asked)
    names = [asked.id for asked in server.asked]
    assert len(set(names)) == len(names) == (2 if many else 3)


def test_nothing_to_write_sends_nothing() -> None:
    server = ChatServer()
    with endpoint(server) as model:
        assert model.write([], 9) == []
    assert not server.asked


def test_a_response_that_was_cut_off_is_marked() -> None:
    server = ChatServer(reply=lambda asked: r"so \boxed{11}", finish="length")
    with endpoint(server) as model:
        source = ModelSource(model, lambda question: question.text, 20, "endpoint")
        asks = [Ask(QUESTION, (1,))]
        ((response,),) = grade_drawn(asks, source.draw(asks), TextGrader())
    assert response.truncated
    assert (response.tokens, response.token_ids) == (2, ())


def test_a_response_that_the_endpoint_cannot_give_is_a_failure_beside_the_others() -> None:
    def fault(asked: Asked) -> Fault | None:
        return "malformed" if asked.body["seed"] == 2 else None

    with endpoint(ChatServer(fault=fault)) as model:
        ((first, second, third),) = model.write([TextRequest("a", "one", (1, 2, 3))], 9)
    assert isinstance(second, GenerationFailure)
    assert isinstance(first, Text)
    assert isinstance(third, Text)


def test_hints_and_summaries_are_written_over_an_endpoint() -> None:
    def reply(asked: Asked) -> str:
        return "<hint> add 6 </hint>" if "hint" in asked.prompt else r"<summary> so \boxed{11} </summary>"

    right = PooledResponse(index=0, text=r"15 and \boxed{11}", outcome="correct", answer="11")
    with endpoint(ChatServer(reply=reply)) as model:
        hints = HintWriter(model, Template("hint: $question $response"), 8, lambda text: 1)
        ((response,),) = hints.add([QUESTION], [(right,)], [1])
        config = TeacherCompression()
        compressor = TeacherCompressor(config, model, Template("$response"), lambda text: 1)
        (summary,) = compressor.compress([Original(right.text, "11")], [2])
    assert (response.hint, response.hint_tokens) == ("add 6", 4)
    assert (summary.text, summary.tokens) == (r"so \boxed{11}", 4)
