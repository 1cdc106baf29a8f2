import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from zppo.errors import StoreError
from zppo.stores.locks import Holder, exclusive, holder

ROOT = Path(__file__).parents[3]
HOLD = """
import sys, time, os
from pathlib import Path
from zppo.stores.locks import exclusive
with exclusive(Path(sys.argv[1])):
    if os.fork() == 0:
        print(os.getpid(), flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other(tmp_path: Path):
    """A process that holds `tmp_path`, and the process id of its forked child."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    yield process, child
    os.kill(child, signal.SIGKILL)
    process.kill()
    process.wait()


def test_a_second_process_is_told_who_holds_the_run(tmp_path: Path, other) -> None:
    process, _ = other
    with pytest.raises(StoreError, match=f"in use by process {process.pid} on"), exclusive(tmp_path):
        pytest.fail("the block must not run")
    found = holder(tmp_path)
    assert isinstance(found, Holder)
    assert found.pid == process.pid


def test_no_lock_survives_sigkill_even_while_a_forked_child_lives_on(tmp_path: Path, other) -> None:
    process, child = other
    process.kill()
    process.wait()
    os.kill(child, 0)
    assert holder(tmp_path) is None
    with exclusive(tmp_path):
        pass


def test_the_lock_ends_with_its_block_and_excludes_the_same_process_too(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "a"
    assert holder(run) is None
    with exclusive(run):
        assert holder(run) == Holder(pid=os.getpid(), host=os.uname().nodename)
        with pytest.raises(StoreError, match="in use"), exclusive(run):
            pass
    assert holder(run) is None


def test_asking_for_the_holder_does_not_turn_a_newcomer_away(tmp_path: Path) -> None:
    watcher = subprocess.Popen(
        [sys.executable, "-c",
         "import sys\nfrom pathlib import Path\nfrom zppo.stores.locks import holder\n"
         "print(flush=True)\nwhile True: holder(Path(sys.argv[1]))", str(tmp_path)],
        stdout=subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    assert watcher.stdout is not None
    watcher.stdout.readline()
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        with exclusive(tmp_path):
            pass
    watcher.kill()
    watcher.wait()
