"""Precomputation over a chat endpoint: question by question, many at a time."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from string import Template

import pytest

from schemas.config.endpoints import EndpointAccess, Prices
from schemas.config.models import DecodingConfig
from schemas.question import Question
from schemas.spend import EndpointSpend, Spend
from schemas.teacher import TeacherPool
from tests.endpoint_servers import Asked, ChatServer, Fault, chat_server
from tests.fakes.grader import TextGrader
from zppo.core.randomness import generator
from zppo.endpoints.client import ChatClient, Endpoint
from zppo.endpoints.ledger import BudgetReached
from zppo.endpoints.spending import Meter, SpendLog
from zppo.errors import EngineError
from zppo.stages.journal import JOURNAL
from zppo.stages.precompute import SPEND, Precomputation, precompute
from zppo.teachers.hints import HintWriter
from zppo.teachers.pool import RESPONSES, PoolTable
from zppo.teachers.sources import ModelSource
from zppo.teachers.text import EndpointText

QUESTIONS = [Question(id=f"q{i}", source="s", text=f"number {i}", answer=str(i)) for i in range(60)]
PRICES = Prices(input_per_million=1e6, output_per_million=2e6, currency="EUR")


def reply(asked: Asked) -> str:
    """Right three times of four; hints on request."""
    if asked.prompt.startswith("hint"):
        return "<hint> count on </hint>"
    number = asked.prompt.split()[-1]
    return rf"seed {asked.body['seed']} \boxed{{{'x' if asked.body['seed'] % 4 == 0 else number}}}"


@contextmanager
def job(server: ChatServer, partial: Path, beside: int = 8, **access: object) -> Iterator[Precomputation]:
    log = SpendLog(partial / SPEND)
    settings = EndpointAccess.model_validate({"url": server.url, "retries": 4} | access)
    endpoint = Endpoint("teacher", "m", settings, prices=PRICES)
    with ChatClient(endpoint, log.total(), Meter(log).add, waits=(0.001, 0.01)) as client:
        model = EndpointText(client, DecodingConfig())
        yield Precomputation(
            ModelSource(model, lambda question: question.text, 20, "endpoint"),
            TextGrader(),
            responses=4,
            seed=1,
            hints=HintWriter(model, Template("hint $question $response"), 8, lambda text: 1),
            side_by_side=beside,
            spent=lambda: EndpointSpend.of("teacher", log.total(), PRICES),
        )


def run(home: Path, server: ChatServer, beside: int = 8, **access: object) -> tuple[bytes, TeacherPool]:
    partial, out = home / "partial", home / "out"
    out.mkdir(parents=True, exist_ok=True)
    with job(server, partial, beside, **access) as asked:
        report = precompute(QUESTIONS, asked, partial, out)
    return (out / RESPONSES).read_bytes(), report


def test_the_pool_depends_neither_on_arrival_nor_on_how_many_are_asked_at_once(tmp_path: Path) -> None:
    def slow(asked: Asked) -> Fault | None:
        return "429" if generator(asked.id, asked.attempt).random() < 0.3 else None

    with (
        chat_server(ChatServer(reply=reply)) as plain,
        chat_server(ChatServer(reply=reply, fault=slow)) as shaky,
    ):
        alone, _ = run(tmp_path / "alone", plain, beside=1)
        beside, report = run(tmp_path / "beside", shaky, beside=16, retries=30)
    assert alone == beside
    order = [json.loads(line)["question_id"] for line in (tmp_path / "beside/partial" / JOURNAL).open()]
    assert order != [question.id for question in QUESTIONS]
    assert report.spend is not None
    assert report.spend.used.tokens == shaky.prompt_tokens + shaky.completion_tokens
    assert report.spend.money == shaky.prompt_tokens + 2 * shaky.completion_tokens
    assert report.tokens == shaky.completion_tokens
    assert report.hints == report.correct > 0
    table = PoolTable(tmp_path / "beside/out" / RESPONSES)
    assert all(len(table.responses(question.id)) == 4 for question in QUESTIONS)


def test_a_budget_stops_cleanly_and_a_higher_one_goes_on_without_asking_twice(tmp_path: Path) -> None:
    with chat_server(ChatServer(reply=reply)) as server:
        whole, _ = run(tmp_path / "whole", server)
        server.asked.clear()
        server.answered.clear()
        with pytest.raises(BudgetReached, match=r"of 60 questions are done and kept") as error:
            run(tmp_path / "parts", server, budget_tokens=2500)
        spent = SpendLog(tmp_path / "parts/partial" / SPEND).total()
        assert 2000 < spent.tokens <= 2500
        assert f"{spent.tokens:,} tokens, {spent.money(PRICES):,.2f} EUR" in str(error.value)
        kept = {json.loads(line)["question_id"] for line in (tmp_path / "parts/partial" / JOURNAL).open()}
        assert 0 < len(kept) < 60
        before = len(server.asked)
        again, report = run(tmp_path / "parts", server, budget_tokens=1_000_000)
    assert again == whole
    assert {asked.id.split("/")[0] for asked in server.asked[before:]}.isdisjoint(kept)
    assert report.spend is not None
    assert report.spend.used.requests == server.answered.total()


def test_an_endpoint_that_goes_away_leaves_what_is_done(tmp_path: Path) -> None:
    def dies(asked: Asked) -> Fault | None:
        return "503" if len(server.asked) > 100 else None

    server = ChatServer(reply=reply, fault=dies)
    with chat_server(server), pytest.raises(EngineError, match="see that it is up"):
        run(tmp_path, server)
    kept = [json.loads(line)["question_id"] for line in (tmp_path / "partial" / JOURNAL).open()]
    assert len(kept) > 2
    server.fault = lambda asked: None
    server.asked.clear()
    with chat_server(server):
        _, report = run(tmp_path, server)
    assert report.failed == 0
    assert {asked.id.split("/")[0] for asked in server.asked}.isdisjoint(kept)


def test_spend_is_read_back_whole_whatever_a_crash_tore(tmp_path: Path) -> None:
    log = SpendLog(tmp_path / SPEND)
    for tokens in (3, 4):
        log.add(Spend(requests=1, prompt_tokens=tokens))
    with (tmp_path / SPEND).open("ab") as file:
        file.write(b'\n{"requests": 1, "promp')
    SpendLog(tmp_path / SPEND).add(Spend(requests=1, completion_tokens=5))
    assert log.total() == Spend(requests=3, prompt_tokens=7, completion_tokens=5)
