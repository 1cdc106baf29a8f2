"""Runs whose teacher is behind an endpoint: what they need of the machine, and that no key gets out."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.config.endpoints import EndpointAccess, EndpointsConfig
from schemas.config.run import RunConfig, Runtime
from schemas.config.teacher import EndpointTeacher
from schemas.teacher import TeacherPool
from tests.endpoint_servers import ChatServer, chat_server
from tests.pipelines import RECIPE
from zppo.errors import InputError
from zppo.ports import Visit
from zppo.stages.precompute import REPORT
from zppo.teachers.pool import RESPONSES, PoolTable
from zppo.wiring.context import open_run
from zppo.wiring.endpoints import find_key, open_teacher
from zppo.wiring.precompute import pool_inputs, run_precompute
from zppo.wiring.prepare import run_prepare
from zppo.wiring.teacher import teacher

KEY = "sk-0123456789-very-secret"
TEACHER = {
    "type": "endpoint",
    "model": "the-teacher",
    "revision": "2026-01",
    "templates": "pocket",
    "max_response_tokens": 16,
    "prices": {"input_per_million": 1.0, "output_per_million": 4.0, "currency": "EUR"},
}


def config_of(method: dict[str, Any] | None = None, **asked: Any) -> RunConfig:
    """The tiny recipe with a teacher behind an endpoint."""
    changed = {"teacher": TEACHER | asked, "method": method or RECIPE["method"]}
    return RunConfig.model_validate(RECIPE | changed)


def machine(home: Path, url: str, **access: Any) -> Runtime:
    reached = EndpointAccess.model_validate({"url": url, "api_key": "env:TEACHER_KEY"} | access)
    return Runtime(home=home, endpoints=EndpointsConfig(teacher=reached))


def served() -> ChatServer:
    """Every answer is 3, which is right now and then."""
    return ChatServer(reply=lambda asked: r"so \boxed{ 3 }")


def test_a_pool_is_drawn_over_an_endpoint_and_no_key_gets_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TEACHER_KEY", KEY)
    caplog.set_level("DEBUG")
    said: list[str] = []
    with chat_server(served()) as server:
        with open_run(config_of(), "remote", machine(tmp_path, server.url, concurrency=4)) as run:
            monkeypatch.setattr(run.progress, "say", said.append)
            path = run_precompute(run)
            report = TeacherPool.model_validate_json(run.store.file(path, REPORT).read_bytes())
            train = run.questions(run_prepare(run), "train")
            table = PoolTable(run.store.file(path, RESPONSES))
            assert all(len(table.responses(each.id)) == 8 for each in train.at(range(len(train))))
            shown = f"{run.record!r} {run.runtime!r} {run.teacher_endpoint!r} {vars(run)}"
        with open_run(config_of(), "other", machine(tmp_path, "http://127.0.0.1:9/v1")) as run:
            assert run_precompute(run) == path
    assert report.teacher == "endpoint"
    assert report.correct > 0
    assert report.spend is not None
    assert report.spend.used.requests == server.answered.total() == report.responses
    assert f"cost {report.spend.text}" in said[-1]
    assert all(asked.headers["authorization"] == f"bearer {KEY}" for asked in server.asked)
    written = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(written) > 10
    assert not any(KEY.encode() in file.read_bytes() for file in written)
    assert KEY not in f"{caplog.text} {said} {shown}"


def test_neither_address_nor_budget_nor_prices_make_another_pool_but_a_label_does(tmp_path: Path) -> None:
    def inputs(name: str, runtime: Runtime, **asked: Any) -> dict[str, Any]:
        config = config_of(**asked)
        assert isinstance(config.teacher, EndpointTeacher)
        with open_run(config, name, runtime) as run:
            return pool_inputs(run, config.teacher)

    first = inputs("first", machine(tmp_path, "http://a/v1", budget_tokens=1))
    assert inputs("moved", machine(tmp_path, "http://b/v1", budget_money=9.0), prices=None) == first
    assert inputs("labelled", machine(tmp_path, "http://a/v1"), revision="2026-02") != first


def test_a_visit_is_answered_online_over_an_endpoint(tmp_path: Path) -> None:
    config = config_of(visits=0, when_dry="online", many_choices=True)
    with (
        chat_server(served()) as server,
        open_run(config, "online", machine(tmp_path, server.url, api_key=None)) as run,
    ):
        assert run_precompute(run) == ""
        (question,) = run.questions(run_prepare(run), "train").at([0])
        online = teacher(run, "")
        assert online is not None
        (answer,) = online.respond([Visit(question=question, served=0, count=3, seed=1)])
    assert (answer.served, answer.drawn, len(answer.responses)) == (0, 3, 3)
    assert len(server.asked) == 1


def test_a_machine_without_the_endpoint_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    with (
        open_run(config_of(), "nowhere", Runtime(home=tmp_path)) as run,
        pytest.raises(InputError, match=r"set endpoints\.teacher\.url"),
    ):
        run_precompute(run)


@pytest.mark.parametrize(
    ("variables", "problem"),
    [({}, "there is no key"), ({"K": " "}, "there is no key"), ({"K": f"{KEY} {KEY}"}, "holds no key")],
)
def test_a_key_that_is_none_is_not_sent_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], problem: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=problem) as error:
        find_key("env:K", "teacher")
    assert "env:K" in str(error.value)
    assert KEY not in str(error.value)


def test_a_key_comes_from_a_variable_with_its_blanks_around_it_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("K", f" {KEY}\n")
    key = find_key("env:K", "teacher")
    assert key is not None
    assert key.get_secret_value() == KEY
    assert KEY not in repr(key)
    assert find_key(None, "teacher") is None


@pytest.mark.parametrize("method", ["off_policy_distillation", "on_policy_distillation"])
def test_distillation_is_refused_since_an_endpoint_gives_no_logits(method: str) -> None:
    with pytest.raises(ValidationError, match="'endpoint', which gives text only; choose 'model'"):
        config_of({"type": method})


def test_spend_of_earlier_sessions_counts_towards_the_budget(tmp_path: Path) -> None:
    config = config_of(visits=0, when_dry="online").teacher
    assert isinstance(config, EndpointTeacher)
    log = tmp_path / "spend.jsonl"
    log.write_text('{"requests": 2, "prompt_tokens": 70}\n')
    with open_teacher(config, machine(tmp_path, "http://localhost:9", api_key=None), log) as endpoint:
        assert endpoint.total.used.tokens == 70
        assert endpoint.take().used.tokens == 0
