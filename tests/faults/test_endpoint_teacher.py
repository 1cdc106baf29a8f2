"""SIGKILL in the middle of a precomputation over an endpoint: what is finished is never asked again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from schemas.spend import Spend
from schemas.teacher import AnsweredQuestion, TeacherPool
from tests.endpoint_servers import Asked, ChatServer, chat_server
from tests.faults.asking import CONCURRENCY, NAME, main
from tests.pipelines import ROOT
from zppo.endpoints.spending import SpendLog
from zppo.layout import RunPaths
from zppo.stages.journal import JOURNAL
from zppo.stages.precompute import REPORT, SPEND

RESPONSES = 8
"""A question: two a visit, four visits."""


def reply(asked: Asked) -> str:
    return rf"{asked.body['seed']} \boxed{{ {asked.body['seed'] % 19} }}"


@contextmanager
def asking(home: Path, url: str, *name: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "tests.faults.asking", str(home), url, *name]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)


def finished(home: Path) -> set[str]:
    """Questions in the journal."""
    lines = [line for journal in home.rglob(JOURNAL) for line in journal.read_bytes().splitlines(True)]
    whole = (line for line in lines if line.endswith(b"\n"))
    return {AnsweredQuestion.model_validate_json(line).question_id for line in whole}


def kill_after(home: Path, server: ChatServer, questions: int) -> set[str]:
    """Precompute, and kill the process when the journal has so many questions."""
    with asking(home, server.url) as process:
        while len(finished(home)) < questions:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
    return finished(home)


def test_a_killed_precomputation_asks_no_finished_question_again(tmp_path: Path) -> None:
    with chat_server(ChatServer(reply=reply, seconds=0.03)) as server:
        whole = Path(main(tmp_path / "whole", server.url))
        asked_once = len(server.asked)
        server.asked.clear()
        server.answered.clear()
        server.attempts.clear()

        lives: list[set[str]] = [set()]
        for questions in (3, 12):
            before, kept = len(server.asked), lives[-1]
            lives.append(kill_after(tmp_path / "killed", server, questions))
            assert kept <= lives[-1]
            assert {each.id.split("/")[0] for each in server.asked[before:]}.isdisjoint(kept)
        before = len(server.asked)
        again = Path(main(tmp_path / "killed", server.url))
        assert {each.id.split("/")[0] for each in server.asked[before:]}.isdisjoint(lives[-1])

    # Twice as many questions are begun as there are slots for requests: no others are asked a second time.
    twice = {name.split("/")[0] for name, attempts in server.attempts.items() if attempts > 1}
    assert len(twice) <= 2 * max(2, -(-2 * CONCURRENCY // RESPONSES))
    assert len(server.asked) - asked_once <= len(twice) * 2 * RESPONSES
    assert again.name == whole.name
    pools = [tmp_path / name / again / "responses.parquet" for name in ("whole", "killed")]
    assert pools[0].read_bytes() == pools[1].read_bytes()

    report = TeacherPool.model_validate_json((tmp_path / "killed" / again / REPORT).read_bytes())
    log = SpendLog(tmp_path / "killed" / RunPaths(NAME).teacher_spend).total()
    assert report.spend is not None
    assert report.spend.used == log
    # A kill can lose the answers in flight, no others: those that the server sent and nobody read.
    lost = server.answered.total() - log.requests
    assert 0 <= lost <= 2 * CONCURRENCY
    assert log != Spend()
    assert not list((tmp_path / "killed").rglob(SPEND))


@contextmanager
def two_runs(
    home: Path,
) -> Iterator[tuple[ChatServer, "subprocess.Popen[str]", "subprocess.Popen[str]", Event]]:
    """A run that has begun to ask, its endpoint silent until the event, and one that waits for it."""
    go_on = Event()

    def held(asked: Asked) -> str:
        if finished(home):
            go_on.wait()
        return reply(asked)

    with (
        chat_server(ChatServer(reply=held)) as server,
        asking(home, server.url, "first") as first,
    ):
        while not finished(home):
            assert first.poll() is None, "it ended before it had asked"
            time.sleep(0.05)
        with asking(home, server.url, "second") as second:
            assert second.stdout is not None
            while f"precompute  waits for process {first.pid} on" not in second.stdout.readline():
                assert second.poll() is None, "it ended without a wait"
            try:
                yield server, first, second, go_on
            finally:
                go_on.set()


def test_two_runs_that_need_the_same_responses_ask_for_each_once(tmp_path: Path) -> None:
    with two_runs(tmp_path) as (server, first, second, go_on):
        go_on.set()
        for process in (first, second):
            process.communicate(timeout=200)
    assert (first.returncode, second.returncode) == (0, 0)
    assert set(server.attempts.values()) == {1}
    assert not list(tmp_path.rglob(JOURNAL))


def test_a_run_that_waits_for_one_that_is_killed_goes_on_with_what_that_has_kept(tmp_path: Path) -> None:
    with two_runs(tmp_path) as (server, first, second, go_on):
        first.kill()
        first.wait()
        kept, before = finished(tmp_path), len(server.asked)
        go_on.set()
        second.communicate(timeout=200)
    assert second.returncode == 0
    assert {each.id.split("/")[0] for each in server.asked[before:]}.isdisjoint(kept)
    assert not list(tmp_path.rglob(JOURNAL))
