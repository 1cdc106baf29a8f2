"""Real servers that are killed and stopped, and what they leave behind."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.pipelines import ROOT
from tests.vllm.test_agreement import chains, flat, plain
from tests.vllm_servers import PYTHON, machine, processes, served
from zppo.errors import EngineError

pytestmark = pytest.mark.vllm


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    with served("pocket/student", machine(tmp_path_factory.mktemp("home"))) as model:
        yield model.engine


@pytest.mark.parametrize(
    ("process", "number"),
    [("Worker", signal.SIGSTOP), ("EngineCore", signal.SIGKILL), ("api_server", signal.SIGSTOP)],
)
def test_a_process_that_dies_or_stops_is_noticed_and_the_same_responses_arrive(engine, process, number):
    requests = chains(engine, 4)
    before = flat(engine.generate(requests, plain(1.0)))
    (victim, *_) = processes(process)
    victim.send_signal(number)
    after = flat(engine.generate(requests, plain(1.0)))
    assert [each.token_ids for each in after] == [each.token_ids for each in before]


@pytest.mark.parametrize(
    ("process", "number"),
    [
        *((name, signal.SIGKILL) for name in ("Worker", "EngineCore", "api_server")),
        *((name, signal.SIGSTOP) for name in ("Worker", "api_server")),
    ],
)
def test_a_process_that_dies_or_stops_at_work_loses_nothing_that_had_arrived(engine, process, number):
    requests = chains(engine, 40)
    before, seen = engine.generate(requests, plain(1.0)), []

    def arrived(place, responses):
        if not seen:
            (victim, *_) = processes(process)
            victim.send_signal(number)
        seen.append(place)

    after = engine.generate(requests, plain(1.0), arrived)
    assert sorted(seen) == list(range(len(requests)))  # each once: what had arrived was not asked for again
    assert [each.token_ids for each in flat(after)] == [each.token_ids for each in flat(before)]


def test_a_server_that_fails_too_often_ends_the_run_with_its_name_the_request_and_its_log(tmp_path):
    others = processes("EngineCore")
    with served("pocket/student", machine(tmp_path, restarts=0)) as model:
        requests = chains(model.engine, 1)
        model.engine.generate(requests, plain(1.0))
        (victim,) = (each for each in processes("EngineCore") if each not in others)
        victim.kill()
        with pytest.raises(EngineError, match=r"server student 0 .*'start 1 [\s\S]*student-0.log:\n.+"):
            model.engine.generate(requests, plain(1.0))
    assert processes("EngineCore") == others


OWNER = """
import sys, time
from pathlib import Path
from tests.vllm.test_agreement import chains, plain
from tests.vllm_servers import machine, served
with served("pocket/student", machine(Path(sys.argv[1]))) as model:
    model.engine.generate(chains(model.engine, 1), plain(1.0))
    print("ready", flush=True)
    time.sleep(3600)
"""


def test_no_server_outlives_a_run_that_is_killed(tmp_path):
    environment = {**os.environ, "VLLM_PYTHON": str(PYTHON), "PYTHONPATH": str(ROOT)}
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == "ready\n"
    family = psutil.Process(owner.pid).children(recursive=True)
    assert len(family) >= 3
    owner.kill()
    owner.wait()
    deadline = time.monotonic() + 60
    while any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in family):
        assert time.monotonic() < deadline
        time.sleep(0.2)
