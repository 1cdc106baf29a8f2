"""A teacher behind an endpoint answers the held-out questions as a local one does."""

import re
from pathlib import Path
from typing import Any

import pytest

from schemas.config.endpoints import EndpointAccess, EndpointsConfig
from schemas.config.run import RunConfig, Runtime
from schemas.config.teacher import EndpointTeacher
from schemas.evaluation import AnsweringCost, EvaluationAnswer
from tests.endpoint_servers import ChatServer, chat_server, model_reply
from tests.pipelines import RECIPE, run_without_prefect
from zppo.endpoints.ledger import BudgetReached
from zppo.errors import EngineError, InputError
from zppo.layout import PARTIAL, shared_stage
from zppo.stores.answers import COST
from zppo.stores.artifacts import read_artifact
from zppo.wiring import evaluate
from zppo.wiring.context import RunContext, open_run
from zppo.wiring.endpoint_answers import EndpointExaminee
from zppo.wiring.fork import fork_run
from zppo.wiring.gc import find_waste
from zppo.wiring.prepare import run_prepare

TEACHER = {"type": "endpoint", "model": "m", "revision": "1", "templates": "pocket", "max_response_tokens": 9}
GREEDY = {"temperature": 0.0, "top_p": 1.0, "top_k": 0, "presence_penalty": 0.0, "max_response_tokens": 16}
QUESTIONS = 16


def config_of(decoding: dict[str, Any], samples: int = 1, **teacher: Any) -> RunConfig:
    """The tiny recipe with a teacher behind an endpoint, and a decoding for its held-out questions."""
    evaluation = {"decoding": decoding, "samples": samples, "bootstrap_resamples": 100}
    return RunConfig.model_validate(RECIPE | {"teacher": TEACHER | teacher, "evaluation": evaluation})


def machine(home: Path, url: str, **access: Any) -> Runtime:
    reached = EndpointAccess.model_validate({"url": url, "concurrency": 4, "retries": 1} | access)
    return Runtime(home=home, endpoints=EndpointsConfig(teacher=reached))


def answered(run: RunContext) -> list[EvaluationAnswer]:
    prepared, teacher = run_prepare(run), run.config.teacher
    assert isinstance(teacher, EndpointTeacher)
    return EndpointExaminee(run, teacher).answers(evaluate.test_questions(run, prepared), prepared)


def test_the_answers_are_those_of_the_same_model_at_hand(tmp_path: Path) -> None:
    server = ChatServer(reply=model_reply("pocket/teacher"))
    local = {"type": "model", "model": {"model": "pocket/teacher", "templates": "pocket"}}
    evaluation = {"evaluation": {"decoding": GREEDY, "bootstrap_resamples": 100}}
    with (
        chat_server(server),
        open_run(config_of(GREEDY), "remote", machine(tmp_path, server.url)) as run,
        open_run(
            RunConfig.model_validate(RECIPE | {"teacher": local} | evaluation),
            "local",
            Runtime(home=tmp_path),
        ) as other,
    ):
        remote = answered(run)
        assert other.teacher is not None
        at_hand = evaluate.model_answers(other, "teacher", other.teacher, run_prepare(other))
        spent, asked = run.teacher_endpoint, len(server.asked)
        assert spent is not None
        assert spent.total.used.requests == asked == QUESTIONS == len(remote)
        assert answered(run) == remote
    assert len(server.asked) == asked
    assert {each.outcome for each in remote} >= {"correct"}
    unlike = {"tokens"}  # the server counts words
    assert [each.model_dump(exclude=unlike) for each in remote] == [
        each.model_dump(exclude=unlike) for each in at_hand
    ]


@pytest.mark.parametrize("extensions", [True, False])
def test_the_decoding_reaches_the_endpoint_and_what_is_left_out_is_said(
    tmp_path: Path, extensions: bool
) -> None:
    decoding = {"top_k": 20, "min_p": 0.1, "max_response_tokens": 16}
    with chat_server() as server:
        runtime = machine(tmp_path, server.url, send_extensions=extensions)
        with open_run(config_of(decoding, samples=3), "asked", runtime) as run:
            assert len(answered(run)) == 3 * QUESTIONS
            assert isinstance(run.config.teacher, EndpointTeacher)
            examinee = EndpointExaminee(run, run.config.teacher)
    sent = {"temperature": 0.6, "top_p": 0.95, "presence_penalty": 1.5, "max_tokens": 16}
    further = {"top_k": 20, "min_p": 0.1} if extensions else {}
    for asked in server.asked:
        fields = {
            name: value for name, value in asked.body.items() if name not in ("model", "messages", "seed")
        }
        assert fields == sent | further
    assert examinee.name == ("m" if extensions else "m (without top_k 20, min_p 0.1)")
    assert examinee.digest == "endpoint:m@1"


def test_what_was_answered_before_the_budget_ended_is_not_asked_again(tmp_path: Path) -> None:
    server = ChatServer(reply=lambda asked: r"\boxed{ 3 }")
    with chat_server(server):
        with (
            open_run(config_of(GREEDY), "poor", machine(tmp_path, server.url, budget_tokens=300)) as run,
            pytest.raises(BudgetReached, match=rf"of {QUESTIONS} questions are done and kept"),
        ):
            answered(run)
        assert not [each for each in find_waste(tmp_path).waste if PARTIAL in each.path]
        with open_run(config_of(GREEDY), "poor", machine(tmp_path, server.url)) as run:
            assert len(answered(run)) == QUESTIONS
            (path,) = run.store.committed(shared_stage("answers"))
            cost = read_artifact(run.store, path, COST, AnsweringCost)
    assert cost.spend is not None
    assert cost.spend.used.requests == QUESTIONS, "of both sessions"
    assert len(server.asked) == server.answered.total() == QUESTIONS
    assert not list((tmp_path / PARTIAL).iterdir())


def test_a_response_that_was_cut_off_counts_as_truncated_and_a_failure_not_as_wrong(tmp_path: Path) -> None:
    server = ChatServer(reply=lambda asked: "an unfinished thought", finish="length")
    server.fault = lambda asked: "malformed" if len(server.attempts) == 1 else None
    with (
        chat_server(server),
        open_run(config_of(GREEDY), "cut", machine(tmp_path, server.url, concurrency=1)) as run,
    ):
        outcomes = [each.outcome for each in answered(run)]
    assert sorted(outcomes) == ["engine_error"] + ["truncated"] * (QUESTIONS - 1)


def test_a_machine_without_the_endpoint_is_told_so(tmp_path: Path) -> None:
    with (
        open_run(config_of(GREEDY), "nowhere", Runtime(home=tmp_path)) as run,
        pytest.raises(InputError, match=r"set endpoints\.teacher\.url"),
    ):
        answered(run)


def test_a_teacher_that_is_gone_for_good_is_left_out_as_the_error_says_and_nothing_is_lost(
    tmp_path: Path,
) -> None:
    config = config_of(GREEDY | {"max_response_tokens": 15}).model_copy(update={"rounds": 1})
    server = ChatServer(reply=model_reply("pocket/teacher"))
    server.fault = lambda asked: "503" if asked.body["max_tokens"] == 15 else None  # held-out questions
    with chat_server(server), pytest.raises(EngineError) as raised:
        run_without_prefect(config, tmp_path, "left", machine(tmp_path, server.url, retries=0))
    said = re.search(r"zppo fork (\S+) --as (\S+) --at-round (\d+) --set (\S+)$", str(raised.value))
    assert said
    parent, name, index, setting = said.groups()
    stored = {each.parent for each in (tmp_path / "store").rglob("manifest.json")}
    assert len([each for each in stored if each.parent.name == "answers"]) == 2
    runtime = Runtime(home=tmp_path)  # without the endpoint
    forked = fork_run(parent, name, int(index), [setting], runtime)
    run_without_prefect(forked.recipe, tmp_path, name, runtime)
    assert {each.parent for each in (tmp_path / "store").rglob("manifest.json")} >= stored
    assert len([*(tmp_path / "store/answers").iterdir()]) == 2
    with open_run(forked.recipe, name, runtime) as run:
        assert [each.role for each in evaluate.read_evaluation(run).models] == ["base", "student"]
        assert run.committed_rounds() == 1
