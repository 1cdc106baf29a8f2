"""Runs with a judge: what it is asked in a whole run, what that costs, and what it makes another run."""

import hashlib
import json
from collections import Counter
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.config.endpoints import EndpointAccess, EndpointsConfig
from schemas.config.run import RunConfig, Runtime
from schemas.question import Question
from schemas.rollout import Rollout, Round
from schemas.spend import EndpointSpend
from tests.endpoint_servers import Asked, ChatServer, Fault, chat_server
from tests.fakes.judge import honest
from tests.pipelines import RECIPE
from zppo.core.flatten import leaves
from zppo.errors import InputError
from zppo.pocket.task import make_questions
from zppo.rendering import SETS
from zppo.stages.timings import read_timings
from zppo.stages.train import read_base, read_reports
from zppo.stores.rounds import read_round
from zppo.wiring.context import RunContext, open_run, run_identity
from zppo.wiring.evaluate import model_answers, run_evaluate
from zppo.wiring.fork import check_settings
from zppo.wiring.pool import pool_settings
from zppo.wiring.prepare import run_prepare
from zppo.wiring.teacher import works_in_rounds
from zppo.wiring.tracking import tracking
from zppo.wiring.train import open_training

PRICES = {"input_per_million": 1e6, "output_per_million": 2e6, "currency": "EUR"}
JUDGE = {"type": "endpoint", "model": "the-judge", "revision": "2026-01", "prices": PRICES}
FREE = Question(id="q", source="s", text="start 9 +6 mod 19", answer="15", answer_kind="free")


def config_of(judge: dict[str, Any] | None, **changed: Any) -> RunConfig:
    return RunConfig.model_validate(RECIPE | ({"judge": judge} if judge else {}) | changed)


def free_form(directory: Path) -> dict[str, Any]:
    """The tiny recipe's questions as free-form ones, and few of them."""
    rows = [{"question": q.text, "answer": q.answer} for q in make_questions(24, lengths=[3], seed=0)]
    file = directory / "chains.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    free = {"name": "chains", "type": "files", "paths": [str(file)], "answer_kind": "free"}
    assert isinstance(RECIPE["data"], dict)
    sources = [free, *RECIPE["data"]["sources"][1:]]
    return RECIPE["data"] | {"sources": sources, "validation_questions": 3, "test_questions": 3}


def machine(home: Path, url: str, **access: Any) -> Runtime:
    reached = EndpointAccess.model_validate({"url": url} | access)
    return Runtime(home=home, endpoints=EndpointsConfig(judge=reached))


def one_in(count: int, prompt: str) -> bool:
    """Whether a prompt is among those that misfortune meets."""
    return hashlib.blake2b(prompt.encode()).digest()[0] % count == 0


def reply(asked: Asked) -> str:
    return "I think so." if one_in(5, asked.prompt) else honest(asked.prompt)


def fault(asked: Asked) -> Fault | None:
    return "400" if one_in(7, asked.prompt) else None


def train(run: RunContext, rounds: int) -> None:
    with tracking(run) as tracker, open_training(run, tracker) as trainer:
        trainer.validate_base()
        for index in [each for each in trainer.remaining() if each <= rounds]:
            trainer.collect(index)
            trainer.update(index)


def rollouts(round_: Round) -> list[Rollout]:
    return [rollout for group in round_.groups for rollout in group.rollouts]


def test_a_run_on_free_form_questions_is_graded_by_its_judge(tmp_path: Path) -> None:
    config = config_of(JUDGE, data=free_form(tmp_path), rounds=2)
    server = ChatServer(reply, fault, message="maximum context length is 512 tokens")
    with chat_server(server):
        runtime = machine(tmp_path, server.url, concurrency=4)
        with open_run(config, "judged", runtime) as run:
            train(run, 1)
        first = {asked.prompt for asked in server.asked}
        with open_run(config, "judged", runtime) as run:
            train(run, 2)
            run_evaluate(run)
            rounds = [read_round(tmp_path / run.paths.collect(index)) for index in (1, 2)]
            reports, base = read_reports(run.store, run.paths), read_base(run.store, run.paths)
            timings = [read_timings(run.store, run.paths, index).seconds for index in (1, 2)]
            assert run.grading.judge is not None
            total = run.grading.judge.total

    graded = [each for round_ in rounds for each in rollouts(round_)]
    verdicts = Counter(each.verdict for each in graded)
    assert set(verdicts) == {"correct", "wrong", "malformed"}
    assert all(each.reward == (each.verdict == "correct") for each in graded)
    failures = [each for round_ in rounds for group in round_.groups for each in group.failures]
    assert failures
    assert all("the judge gave no verdict: status 400" in each.cause for each in failures)

    assert base is not None
    judged = [report.judge for report in reports if report.judge is not None]
    assert sum(each.judged for each in judged) == len(graded)
    assert sum(each.malformed for each in judged) == verdicts["malformed"]
    assert (total.used.prompt_tokens, total.used.completion_tokens, total.used.requests) == (
        server.prompt_tokens,
        server.completion_tokens,
        server.answered.total(),
    )
    assert all(each.spend.money == each.spend.used.money(run.config.judge.prices) for each in judged)  # type: ignore[union-attr, arg-type]
    assert total.money == server.prompt_tokens + 2 * server.completion_tokens
    assert sum(each.spend.used.requests for each in judged) < total.used.requests
    for seconds in timings:
        assert seconds["judge"] > 0, "what is waited for, since it is asked beside the sampler"
        parts = ("student", "teacher", "compression", "judge", "grading")
        assert sum(seconds.get(part, 0.0) for part in parts) <= seconds["collect"]
    times = Counter(asked.prompt for asked in server.asked if not fault(asked))
    again = {prompt for prompt, count in times.items() if count > 1}
    assert again <= first, "within a process nothing is asked twice"
    of_rounds = {each.text for each in rollouts(rounds[0])}
    assert not any(f"<response>\n{text}\n</response>" in prompt for text in of_rounds for prompt in again)


@pytest.mark.parametrize("wanted", [True, False])
def test_the_judge_reads_in_evaluation_what_the_rules_cannot(tmp_path: Path, wanted: bool) -> None:
    assert isinstance(RECIPE["evaluation"], dict)
    cut_off = RECIPE["evaluation"]["decoding"] | {"max_response_tokens": 8}
    evaluation = RECIPE["evaluation"] | {"decoding": cut_off}
    config = config_of(JUDGE | {"evaluation": wanted}, evaluation=evaluation)
    with (
        chat_server(ChatServer(lambda asked: '{"verdict": "correct"}')) as server,
        open_run(config, "evaluated", machine(tmp_path, server.url)) as run,
    ):
        answers = model_answers(run, "base", run.student, run_prepare(run))
        again = model_answers(run, "base", run.student, run_prepare(run))
    assert again == answers
    unread = [answer for answer in answers if answer.answer is None]
    assert unread
    outcome = ("correct", "correct") if wanted else ("truncated", None)
    assert {(answer.outcome, answer.verdict) for answer in unread} == {outcome}
    assert all(answer.verdict is None for answer in answers if answer.answer is not None)
    assert bool(server.asked) is wanted


def test_without_a_judge_free_form_questions_are_bad_rows(tmp_path: Path) -> None:
    config = config_of(None, data=free_form(tmp_path))
    with (
        open_run(config, "unjudged", Runtime(home=tmp_path)) as run,
        pytest.raises(InputError, match="needs a judge"),
    ):
        run_prepare(run)


def test_a_machine_without_the_judges_endpoint_is_refused_before_any_work(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"set endpoints\.judge\.url"),
        open_run(config_of(JUDGE), "nowhere", Runtime(home=tmp_path / "home")),
    ):
        pass
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("teacher", ["none", "reference", "recorded"])
def test_a_teacher_that_is_no_model_cannot_judge(teacher: str) -> None:
    asked = {"type": teacher} | ({"path": "x.jsonl"} if teacher == "recorded" else {})
    with pytest.raises(ValidationError, match=r"judge\.type 'teacher' needs teacher\.type 'model'"):
        config_of({"type": "teacher"}, teacher=asked, method={"type": "grpo"})


def test_the_teachers_model_judges_through_its_own_engine(tmp_path: Path) -> None:
    templates = tmp_path / "short"
    copytree(SETS / "pocket", templates)
    (templates / "judge.txt").write_text("$question $options $response $answer\n")
    config = config_of({"type": "teacher", "templates": str(templates)})
    assert works_in_rounds(config)
    with open_run(config, "own", Runtime(home=tmp_path)) as run:
        assert run.grading.judge is not None
        pairs = [(FREE, r"\boxed{15}"), (FREE, "no box"), (FREE, r"\boxed{15}")]
        grades = run.grading.training.grade(pairs)
        assert run.teacher is not None
        run.teacher.unload()
        assert run.grading.training.grade([(FREE, r"\boxed{14}")])[0].verdict == "malformed"
        used = run.grading.judge.take()
    assert [each.outcome for each in grades] == ["wrong", "no_answer", "wrong"]
    assert {each.verdict for each in grades} == {"malformed"}
    assert (used.used.requests, used.money) == (3, None)
    assert used.used.prompt_tokens > 3 * 4
    assert used.used.completion_tokens > 0


def identity(directory: Path, judge: dict[str, Any] | None) -> dict[str, Any]:
    access = EndpointAccess(url="http://127.0.0.1:9/v1")
    runtime = Runtime(home=directory, endpoints=EndpointsConfig(judge=access))
    name = f"run{hashlib.blake2b(json.dumps(judge).encode()).hexdigest()[:8]}"
    with open_run(config_of(judge), name, runtime) as run:
        return dict(leaves(run_identity(run.record.model_copy(update={"name": "same"})).inputs))


@pytest.mark.parametrize(
    ("changed", "differs"),
    [
        ({"model": "another"}, {"judge.model", "recipe.judge.model"}),
        ({"revision": "2026-02"}, {"judge.revision", "recipe.judge.revision"}),
        ({"evaluation": False}, {"judge.evaluation", "recipe.judge.evaluation"}),
        ({"prices": None}, {f"recipe.judge.prices.{name}" for name in PRICES} | {"recipe.judge.prices"}),
    ],
)
def test_another_judge_makes_another_run(tmp_path: Path, changed: dict[str, Any], differs: set[str]) -> None:
    one, two = identity(tmp_path, JUDGE), identity(tmp_path, JUDGE | changed)
    assert {path for path in one.keys() | two.keys() if one.get(path, 0) != two.get(path, 0)} == differs


def test_another_prompt_of_the_judge_makes_another_run(tmp_path: Path) -> None:
    templates = tmp_path / "own"
    copytree(SETS / "pocket", templates)
    named = JUDGE | {"templates": str(templates)}
    before = identity(tmp_path, named)
    (templates / "judge.txt").write_text("$question $options $response $answer\n")
    after = identity(tmp_path / "again", named)
    assert {path for path in before if before[path] != after[path]} == {"judge.template"}


def test_a_recipe_without_a_judge_is_what_it_was_before_there_were_judges(tmp_path: Path) -> None:
    assert not any("judge" in path for path in identity(tmp_path, None))
    assert "judge" not in config_of(None).model_dump()
    assert "judge" not in pool_settings(config_of(None))


def test_neither_prices_nor_evaluation_make_another_pool_but_the_model_does() -> None:
    one = pool_settings(config_of(JUDGE))
    assert pool_settings(config_of(JUDGE | {"prices": None, "evaluation": False})) == one
    assert pool_settings(config_of(JUDGE | {"model": "another"})) != one


def test_a_fork_keeps_its_parents_judge() -> None:
    check_settings(config_of(JUDGE), config_of(JUDGE | {"prices": None}), 1)
    with pytest.raises(InputError, match=r"judge\.model"):
        check_settings(config_of(JUDGE), config_of(JUDGE | {"model": "another"}), 1)


def test_spends_of_one_role_add_up() -> None:
    one = EndpointSpend.model_validate({"role": "judge", "used": {"prompt_tokens": 3}, "money": 0.5})
    assert (one + one).used.prompt_tokens == 6
    assert (one + one).money == 1.0
    assert (one + one.model_copy(update={"money": None})).money is None
