"""Managed servers that are killed, stopped and absent; real processes, a fake model."""

import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from tests.pipelines import ROOT
from tests.unit.engines.vllm.engines import PLAIN, engine_on, expected, questions, tokens, weights_of
from zppo.engines.vllm.servers import ManagedServer
from zppo.errors import EngineError, InputError


def managed(tmp_path: Path, *command: str) -> ManagedServer:
    fake = (sys.executable, "-m", "tests.fakes.vllm_server", "--model", "tiny")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return ManagedServer("student 0", command or fake, environment, tmp_path / "server.log", 60.0)


def members(server: ManagedServer) -> list[psutil.Process]:
    """The guardian, and the server under it."""
    guard = next(each for each in psutil.Process().children() if "guardian.py" in " ".join(each.cmdline()))
    return [guard, *guard.children(recursive=True)]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_server_that_is_killed_or_stopped_is_started_again_and_goes_on(tmp_path, number):
    server = managed(tmp_path)
    engine = engine_on([server], weights_of(tmp_path))
    try:
        first = questions(2)
        assert tokens(engine.generate(first, PLAIN)) == expected(first)
        (_, worker), port = members(server), server.url
        worker.send_signal(number)
        second = questions(6)[2:]
        assert tokens(engine.generate(second, PLAIN)) == expected(second)
        assert server.url != port
        assert not worker.is_running()
    finally:
        engine.close()


def test_closing_leaves_no_process_behind(tmp_path):
    server = managed(tmp_path)
    engine = engine_on([server], weights_of(tmp_path))
    engine.generate(questions(1), PLAIN)
    family = members(server)
    assert len(family) == 2
    engine.close()
    assert not [each for each in family if each.is_running()]


def test_a_server_that_never_starts_is_not_tried_again_and_the_error_shows_its_log(tmp_path):
    program = "import sys; print('no kernel image is available'); sys.exit(3)"
    engine = engine_on([managed(tmp_path, sys.executable, "-c", program)], weights_of(tmp_path))
    with pytest.raises(EngineError, match=r"student 0 does not start.*exit code 3[\s\S]*no kernel image"):
        engine.generate(questions(1), PLAIN)
    assert (tmp_path / "server.log").read_text().count("no kernel image") == 1


LONG_LOG = """
import sys
print("(Worker pid=1) ERROR 01-01 [runner.py:1] Traceback (most recent call last):")
print("(Worker pid=1) ERROR 01-01 [runner.py:1] RuntimeError: no room on the device")
for place in range(100_000):
    print("(APIServer pid=2) ERROR 01-01 [api.py:1] EngineDeadError: see above", place)
sys.exit(3)
"""


def test_the_first_error_of_a_server_is_named_however_much_it_says_afterwards(tmp_path):
    engine = engine_on([managed(tmp_path, sys.executable, "-c", LONG_LOG)], weights_of(tmp_path))
    with pytest.raises(
        EngineError, match=r"first error: RuntimeError: no room on the device\. The end"
    ) as said:
        engine.generate(questions(1), PLAIN)
    assert "see above 99999" in str(said.value)
    assert len(str(said.value)) < 3000


def test_a_server_that_does_not_come_back_ends_the_run_with_the_request_and_the_log(tmp_path):
    server = managed(tmp_path)
    engine = engine_on([server], weights_of(tmp_path), restarts=1)
    engine.generate(questions(1), PLAIN)
    server._command = (sys.executable, "-c", "print('CUDA out of memory')")
    members(server)[1].kill()
    with pytest.raises(EngineError, match=r"student 0 .*2 times.*'q0'[\s\S]*CUDA out of memory"):
        engine.generate(questions(1), PLAIN)
    engine.close()


def test_an_absent_interpreter_is_named_before_anything_starts(tmp_path):
    engine = engine_on([managed(tmp_path, str(tmp_path / "python"))], weights_of(tmp_path))
    with pytest.raises(InputError, match="make vllm-env"):
        engine.generate(questions(1), PLAIN)
