"""What a guardian leaves behind: nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from zppo.engines.vllm import guardian

FAMILY = (
    "import subprocess, sys, time;"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); {}"
)
"""A process with a child; neither ends by itself."""
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


def command(program: str, parent: int, patience: float = 0.5) -> list[str]:
    return [
        sys.executable,
        "-I",
        guardian.__file__,
        str(parent),
        str(patience),
        sys.executable,
        "-c",
        program,
    ]


def family(process: "subprocess.Popen[bytes]", size: int) -> list[psutil.Process]:
    """The guardian's child and grandchild, once they are there."""
    deadline = time.monotonic() + 60
    while len(found := psutil.Process(process.pid).children(recursive=True)) < size:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def gone(processes: list[psutil.Process], within: float = 30.0) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=within)
    return not [each for each in alive if each.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture
def tidy() -> Iterator[list[psutil.Process]]:
    started: list[psutil.Process] = []
    yield started
    for process in started:
        if process.is_running():
            process.kill()


@pytest.mark.parametrize("program", ["time.sleep(600)", DEAF])
def test_asked_to_end_it_ends_the_whole_family_whether_that_listens_or_not(tidy, program):
    process = subprocess.Popen(command(FAMILY.format(program), os.getpid()))
    members = family(process, 2)
    tidy.extend(members)
    process.terminate()
    assert process.wait(30) != 0
    assert gone(members)


def test_a_family_that_stopped_is_ended_too(tidy):
    process = subprocess.Popen(command(FAMILY.format("time.sleep(600)"), os.getpid()))
    members = family(process, 2)
    tidy.extend(members)
    for member in members:
        member.suspend()
    process.terminate()
    process.wait(30)
    assert gone(members)


def test_the_family_ends_with_a_process_that_is_killed(tidy):
    owner_program = (
        "import json, os, subprocess, sys; arguments = json.loads(sys.argv[1]);"
        "arguments[3] = str(os.getpid()); subprocess.Popen(arguments).wait()"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", owner_program, json.dumps(command(FAMILY.format("time.sleep(600)"), 0))]
    )
    members = family(owner, 3)
    tidy.extend(members)
    owner.kill()
    owner.wait()
    assert gone(members)


def test_children_that_outlive_the_command_are_ended_and_its_exit_code_is_passed_on(tidy):
    started = subprocess.Popen(command(FAMILY.format("time.sleep(1); sys.exit(7)"), os.getpid()))
    members = family(started, 2)
    tidy.extend(members)
    assert started.wait(30) == 7
    assert gone(members)


def test_a_command_that_a_signal_ended_passes_on_128_and_its_number(tidy):
    process = subprocess.Popen(command("import time; time.sleep(600)", os.getpid()))
    (member,) = family(process, 1)
    tidy.append(member)
    member.send_signal(signal.SIGKILL)
    assert process.wait(30) == 128 + signal.SIGKILL
