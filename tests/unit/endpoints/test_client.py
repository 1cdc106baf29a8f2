import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from schemas.config.endpoints import EndpointAccess, Prices
from schemas.spend import Spend
from tests.endpoint_servers import Asked, ChatServer, Fault, chat_server
from zppo.core.randomness import generator
from zppo.endpoints.chat import ChatAnswer, ChatFailure, ChatRequest
from zppo.endpoints.client import FAILURES_IN_A_ROW, ChatClient, Endpoint
from zppo.endpoints.ledger import BudgetReached
from zppo.errors import EngineError, InputError

KEY = "sk-a-very-secret-key-0123456789"
PASSING: tuple[Fault, ...] = ("429", "500", "503", "cut", "malformed", "schema", "choices", "garbage", "drop")


def request(index: int, **others: object) -> ChatRequest:
    fields = {"id": f"q{index}", "prompt": f"What is {index} + 1 ?", "temperature": 1.0, "max_tokens": 20}
    return ChatRequest(**(fields | others))  # type: ignore[arg-type]


@contextmanager
def client(
    server: ChatServer, prices: Prices | None = None, spent: Spend | None = None, **access: object
) -> Iterator[ChatClient]:
    settings = {"url": server.url, "api_key": "env:KEY"} | access
    endpoint = Endpoint("teacher", "m", EndpointAccess.model_validate(settings), SecretStr(KEY), prices)
    with ChatClient(endpoint, spent, jitter=Random(1), waits=(0.001, 0.01)) as made:
        yield made


def first_attempts(*faults: Fault) -> Callable[[Asked], Fault | None]:
    """Each request meets these faults, one an attempt, in an order of its own."""

    def fault(asked: Asked) -> Fault | None:
        mine = list(faults)
        generator(asked.id).shuffle(mine)
        return mine[asked.attempt - 1] if asked.attempt <= len(mine) else None

    return fault


def test_answers_carry_text_usage_and_truncation() -> None:
    with chat_server(ChatServer(finish="length")) as server, client(server) as chat:
        (answer,) = chat.complete([request(1, seed=7, enable_thinking=False)])
    assert isinstance(answer, ChatAnswer)
    assert answer.choices[0].text == "Echo: What is 1 + 1 ?"
    assert answer.choices[0].truncated
    assert (answer.prompt_tokens, answer.completion_tokens) == (6, 7)
    (asked,) = server.asked
    assert asked.body == {
        "model": "m",
        "messages": [{"role": "user", "content": "What is 1 + 1 ?"}],
        "temperature": 1.0,
        "max_tokens": 20,
        "seed": 7,
        "chat_template_kwargs": {"enable_thinking": False},
    }
    assert asked.headers["authorization"] == f"bearer {KEY}"


def test_a_lost_connection_has_a_name_where_it_brings_no_words(monkeypatch: pytest.MonkeyPatch) -> None:
    async def lose(*_: object, **__: object) -> None:
        raise httpx.ReadError("")

    with chat_server() as server, client(server, retries=0) as chat:
        monkeypatch.setattr(httpx.AsyncClient, "post", lose)
        (answer,) = chat.complete([request(1)])
    assert isinstance(answer, ChatFailure)
    assert answer.cause.endswith("the connection was lost: ReadError")


def test_several_choices_come_in_one_answer() -> None:
    with chat_server() as server, client(server) as chat:
        (answer,) = chat.complete([request(1, n=3)])
    assert isinstance(answer, ChatAnswer)
    assert len(answer.choices) == 3


def test_of_thousands_of_requests_through_every_fault_nothing_is_lost_and_nothing_doubled() -> None:
    count = 2000
    fault = first_attempts(*PASSING)

    def sometimes(asked: Asked) -> Fault | None:
        return fault(asked) if generator(asked.id, "faulty").random() < 0.1 else None

    server = ChatServer(fault=sometimes, retry_after="0")
    with chat_server(server), client(server, concurrency=16, retries=len(PASSING)) as chat:
        came = Counter[int]()
        for index, answer in chat.finished([request(index) for index in range(count)]):
            came[index] += 1
            assert isinstance(answer, ChatAnswer)
            assert answer.choices[0].text == f"Echo: What is {index} + 1 ?"
        spent = chat.spent
    assert came == Counter(range(count))
    assert server.answered == Counter(f"q{index}" for index in range(count))
    assert server.most_in_flight <= 16
    assert (spent.requests, spent.prompt_tokens) == (count, server.prompt_tokens)
    assert spent.completion_tokens == server.completion_tokens
    assert spent.unanswered == len(server.asked) - count


def test_threads_share_one_client() -> None:
    with chat_server() as server, client(server, concurrency=4) as chat:
        answers: dict[int, list[ChatAnswer | ChatFailure]] = {}

        def ask(part: int) -> None:
            answers[part] = chat.complete([request(10 * part + i) for i in range(10)])

        threads = [threading.Thread(target=ask, args=(part,)) for part in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert server.most_in_flight <= 4
    assert server.answered == Counter(f"q{index}" for index in range(80))
    assert sorted(answers) == list(range(8))


def test_a_request_that_is_never_answered_well_fails_alone() -> None:
    server = ChatServer(fault=lambda asked: "malformed" if asked.id == "q3" else None)
    with chat_server(server), client(server, retries=2) as chat:
        answers = chat.complete([request(index) for index in range(8)])
    failures = [index for index, answer in enumerate(answers) if isinstance(answer, ChatFailure)]
    assert failures == [3]
    assert server.attempts["q3"] == 3
    assert "no chat completion" in answers[3].cause  # type: ignore[union-attr]


def test_a_prompt_beyond_the_context_window_is_that_requests_failure() -> None:
    message = "This model's maximum context length is 100 tokens"
    server = ChatServer(fault=lambda asked: "400" if asked.id == "q1" else None, message=message)
    with chat_server(server), client(server) as chat:
        answers = chat.complete([request(0), request(1)])
    assert isinstance(answers[0], ChatAnswer)
    assert isinstance(answers[1], ChatFailure)
    assert server.attempts["q1"] == 1


def test_an_endpoint_that_answers_nobody_ends_the_work() -> None:
    server = ChatServer(fault=lambda asked: "500")
    with chat_server(server), client(server, retries=0) as chat, pytest.raises(EngineError, match="in a row"):
        chat.complete([request(index) for index in range(100)])
    assert len(server.asked) >= FAILURES_IN_A_ROW


@pytest.mark.parametrize("fault", ["429", "503"])
def test_an_endpoint_that_stays_overloaded_ends_the_work(fault: Fault) -> None:
    server = ChatServer(fault=lambda asked: fault)
    with (
        chat_server(server),
        client(server, retries=2) as chat,
        pytest.raises(EngineError, match="3 attempts"),
    ):
        chat.complete([request(1)])
    assert server.attempts["q1"] == 3


def test_an_address_where_nobody_listens_is_named() -> None:
    with chat_server() as server:
        pass
    with client(server, retries=1) as chat, pytest.raises(EngineError, match="cannot connect") as error:
        chat.complete([request(1)])
    assert server.url in str(error.value)


@pytest.mark.parametrize(
    ("fault", "advice"),
    [("401", "endpoints.teacher.api_key"), ("404", "endpoints.teacher.url"), ("400", "send_seeds")],
)
def test_what_the_user_must_change_is_said_at_once(fault: Fault, advice: str) -> None:
    server = ChatServer(fault=lambda asked: fault, message=f"I do not like {KEY}")
    with chat_server(server), client(server) as chat, pytest.raises(InputError) as error:
        chat.complete([request(1)])
    assert len(server.asked) == 1
    for part in (server.url, "'m'", fault, "I do not like ***", advice):
        assert part in str(error.value)
    assert KEY not in str(error.value)


def test_retry_after_holds_every_request_back() -> None:
    server = ChatServer(fault=lambda asked: "429" if len(server.asked) == 1 else None, retry_after="1")
    with chat_server(server), client(server, concurrency=1) as chat:
        chat.complete([request(index) for index in range(3)])
    times = [asked.at for asked in server.asked]
    assert times[1] - times[0] >= 0.99


def test_a_wait_of_hours_ends_the_work() -> None:
    server = ChatServer(fault=lambda asked: "429", retry_after="7200")
    with chat_server(server), client(server) as chat, pytest.raises(EngineError, match="7,200 s"):
        chat.complete([request(1)])


def test_a_slow_answer_is_asked_again() -> None:
    server = ChatServer(fault=lambda asked: "slow" if asked.attempt == 1 else None)
    with chat_server(server), client(server, timeout_seconds=0.3) as chat:
        (answer,) = chat.complete([request(1)])
    assert isinstance(answer, ChatAnswer)
    assert server.attempts["q1"] == 2


def test_rates_are_kept() -> None:
    with chat_server() as server, client(server, requests_per_minute=1200) as chat:
        start = time.monotonic()
        chat.complete([request(index) for index in range(11)])
        assert time.monotonic() - start >= 10 * 60 / 1200
    limit = 60 * request(1).most_tokens * 20
    with chat_server() as server, client(server, tokens_per_minute=limit, concurrency=1) as chat:
        chat.complete([request(index) for index in range(11)])
    assert len(server.answered) == 11


def test_the_budget_is_never_exceeded_and_what_was_in_flight_is_answered() -> None:
    most = request(100).most_tokens
    with chat_server(ChatServer(seconds=0.01)) as server, client(server, budget_tokens=20 * most) as chat:
        answers: list[tuple[int, ChatAnswer | ChatFailure]] = []
        with pytest.raises(BudgetReached) as error:
            answers.extend(chat.finished([request(index) for index in range(100, 900)]))
        spent = chat.spent
    assert spent.tokens <= 20 * most
    assert spent.tokens > 19 * most
    assert spent.requests == server.answered.total() == len(server.asked)
    assert f"{spent.tokens:,} tokens" in str(error.value)
    assert "endpoints.teacher.budget_tokens" in str(error.value)


def test_a_budget_of_money_counts_what_earlier_sessions_spent() -> None:
    prices = Prices(input_per_million=1e6, output_per_million=2e6, currency="EUR")
    spent = Spend(requests=5, prompt_tokens=100, completion_tokens=100)
    with chat_server() as server, client(server, prices, spent, budget_money=340.0) as chat:
        with pytest.raises(BudgetReached, match=r"300.00 EUR"):
            chat.complete([request(1)])
        assert not server.asked
    with client(server, prices, spent, budget_money=1e6) as chat:
        assert chat.spent == spent


def test_a_budget_of_money_needs_prices() -> None:
    with chat_server() as server, pytest.raises(InputError, match="prices"), client(server, budget_money=1.0):
        pass


def test_each_addition_to_the_spend_is_told() -> None:
    told: list[Spend] = []
    with chat_server() as server:
        endpoint = Endpoint("teacher", "m", EndpointAccess(url=server.url))
        with ChatClient(endpoint, note=told.append) as chat:
            chat.complete([request(index) for index in range(9)])
    assert sum(told, Spend()) == chat.spent
    assert len(told) == 9
    assert "authorization" not in server.asked[0].headers


def test_the_key_appears_in_no_repr_log_or_error(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server = ChatServer(
        fault=first_attempts("500", "schema"), message=KEY, reply=lambda asked: f"it is {KEY}"
    )
    with chat_server(server), client(server) as chat:
        answers = chat.complete([request(1)])
        shown = f"{answers} {chat.endpoint!r} {chat.endpoint} {vars(chat)} {caplog.text}"
    assert caplog.text
    assert KEY not in shown


@pytest.mark.parametrize(
    "settings",
    [{"api_key": KEY}, {"url": f"https://user:{KEY}@host/v1"}, {"url": f"https://host/v1?key={KEY}"}],
)
def test_a_key_in_the_settings_is_refused_without_showing_it(settings: dict[str, str]) -> None:
    with pytest.raises(ValidationError) as error:
        EndpointAccess.model_validate({"url": "http://localhost/v1"} | settings)
    assert KEY not in str(error.value)
