"""The whole pipeline with a pocket teacher behind an endpoint, by the product's own flow without Prefect."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from schemas.config.endpoints import EndpointAccess, EndpointsConfig
from schemas.config.run import RunConfig, Runtime
from schemas.evaluation import Evaluation
from schemas.report import StepReport
from schemas.rollout import Round
from schemas.teacher import TeacherPool
from tests.endpoint_servers import ChatServer, chat_server, model_reply
from tests.pipelines import RECIPE, run_without_prefect
from zppo.core.metrics import round_metrics
from zppo.layout import RunPaths
from zppo.runs import EVALUATION
from zppo.stages.precompute import REPORT
from zppo.stages.timings import read_timings
from zppo.stages.train import read_reports
from zppo.stores.local import LocalStore
from zppo.stores.rounds import read_round

KEY = "sk-a-very-secret-key-0123456789"
ROUNDS = 3
CHANGES = {
    "teacher": {
        "type": "endpoint",
        "model": "pocket-teacher",
        "revision": "of today",
        "templates": "pocket",
        "visits": 1,
        "when_dry": "online",
        "max_response_tokens": 16,
        "prices": {"input_per_million": 1.0, "output_per_million": 4.0, "currency": "EUR"},
    },
    "rounds": ROUNDS,
    "data": RECIPE["data"] | {"max_train": 8},  # type: ignore[operator]
}
"""Questions come back, and one visit each is in the pool."""


@dataclass(frozen=True)
class Trained:
    """A run that came to its end."""

    home: Path
    server: ChatServer
    rounds: list[Round]
    reports: list[StepReport]
    evaluation: Evaluation


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    home, paths = tmp_path_factory.mktemp("home"), RunPaths("remote")
    config = RunConfig.model_validate(RECIPE | CHANGES)
    with (
        chat_server(ChatServer(reply=model_reply("pocket/teacher"))) as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("TEACHER_KEY", KEY)
        access = EndpointAccess(url=server.url, api_key="env:TEACHER_KEY", concurrency=4)
        runtime = Runtime(home=home, endpoints=EndpointsConfig(teacher=access))
        run_without_prefect(config, home, "remote", runtime)
        rounds = [read_round(home / paths.collect(index)) for index in range(1, ROUNDS + 1)]
        evaluation = Evaluation.model_validate_json((home / paths.evaluation / EVALUATION).read_bytes())
        yield Trained(home, server, rounds, read_reports(LocalStore(home), paths), evaluation)


def test_every_teacher_candidate_says_who_wrote_it_and_how_it_was_served(trained: Trained) -> None:
    candidates = [
        candidate
        for round_ in trained.rounds
        for group in round_.groups
        for candidate in group.prompt.candidates
    ]
    by_teacher = [candidate for candidate in candidates if candidate.author == "teacher"]
    assert len(by_teacher) > 2
    for candidate in by_teacher:
        provenance = candidate.provenance
        assert provenance is not None
        assert (provenance.teacher, provenance.revision) == ("pocket-teacher", "of today")
        assert provenance.served == candidate.origin.partition("/")[0]
    assert all(candidate.provenance is None for candidate in candidates if candidate.author == "student")
    served = {visit.served > 0 for round_ in trained.rounds for visit in round_.teacher}
    drawn = {visit.drawn > 0 for round_ in trained.rounds for visit in round_.teacher}
    assert served == drawn == {True, False}


def test_the_cost_of_pool_rounds_and_evaluation_adds_up_to_what_the_server_counted(trained: Trained) -> None:
    (report,) = (trained.home / "store" / "precompute").glob(f"*/{REPORT}")
    pool = TeacherPool.model_validate_json(report.read_bytes())
    spends = [pool.spend, *(each.teacher.spend for each in trained.reports)]
    used = [spend.used for spend in spends if spend is not None]
    assert len(used) == ROUNDS + 1
    teacher = trained.evaluation.of_role("teacher")
    assert teacher is not None
    assert (teacher.model, teacher.digest) == ("pocket-teacher", "endpoint:pocket-teacher@of today")
    held_out = (teacher.in_distribution, teacher.out_of_distribution)
    answered = sum(score.response_tokens for score in held_out)
    assert sum(score.responses for score in held_out) == 16
    assert sum(each.completion_tokens for each in used) + answered == trained.server.completion_tokens
    assert sum(each.requests for each in used) + 16 == len(trained.server.asked)
    for each in trained.reports:
        drawn = sum(visit.drawn for visit in trained.rounds[each.round - 1].teacher)
        timings = read_timings(LocalStore(trained.home), RunPaths("remote"), each.round)
        metrics = round_metrics(each, timings)
        assert metrics["teacher/endpoint_requests"] == drawn
        assert metrics["teacher/endpoint_money"] >= 0.0
    summary = (trained.home / "remote" / "summary" / "summary.md").read_text()
    assert f"{len(trained.server.asked):,} requests to pocket-teacher" in summary
    assert "EUR in the whole run" in summary


def test_no_key_is_in_any_file_of_the_home(trained: Trained) -> None:
    files = [file for file in trained.home.rglob("*") if file.is_file()]
    assert len(files) > 30
    assert not [file for file in files if KEY.encode() in file.read_bytes()]
    assert all(asked.headers["authorization"] == f"bearer {KEY}" for asked in trained.server.asked)
