"""Processes that work through many runs."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Thread

import psutil
import pytest

from flows.workers import WorkerDied, WorkersStopped, start_workers
from tests import work
from tests.pipelines import ROOT
from zppo.errors import InputError
from zppo.progress import Advance, SecondsLeft


class Seen:
    """Progress that remembers."""

    def __init__(self) -> None:
        self.events: list[object] = []

    def say(self, line: str) -> None:
        self.events.append(line)

    @contextmanager
    def track(
        self, title: str, total: int, done: int = 0, left: SecondsLeft | None = None
    ) -> Iterator[Advance]:
        self.events.append((title, total, done))
        yield lambda done, note: self.events.append((done, note))
        self.events.append("end")


def test_progress_of_a_worker_is_shown_as_if_it_were_here() -> None:
    there, here = Seen(), Seen()
    with start_workers(1) as (worker,):
        worker.do(work.show, there)
    work.show(here, lambda: None)
    assert there.events == here.events


def test_a_process_is_used_again_and_replaced_only_when_it_died() -> None:
    seen = Seen()
    with start_workers(1) as (worker,):
        worker.do(work.tell_process, seen)
        with pytest.raises(InputError, match="expected something else"):
            worker.do(work.refuse, seen)
        worker.do(work.tell_process, seen)
        with pytest.raises(WorkerDied, match="SIGKILL, as when memory runs out"):
            worker.do(work.die, seen)
        worker.do(work.tell_process, seen)
    first, second, third = seen.events
    assert first == second != third


def test_an_interruption_lets_every_worker_finish_its_commit(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    stopped = []

    def execute(worker, folder, seen) -> None:
        with pytest.raises(WorkersStopped):
            worker.do(partial(work.commit_slowly, folder), seen)
        stopped.append(folder)

    with pytest.raises(KeyboardInterrupt), start_workers(2) as workers:  # noqa: PT012
        seen = [Seen(), Seen()]
        for folder, worker, each in zip(folders, workers, seen, strict=True):
            folder.mkdir()
            Thread(target=execute, args=(worker, folder, each)).start()
        while not all(each.events for each in seen):
            time.sleep(0.01)
        raise KeyboardInterrupt
    assert sorted(stopped) == folders
    for folder in folders:
        begun, committed = (sum(1 for _ in folder.glob(f"*.{end}")) for end in ("begun", "committed"))
        assert begun == committed < 1000


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
def test_workers_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    program = (
        "import sys; from functools import partial; from pathlib import Path\n"
        "from flows.workers import start_workers; from tests import work; from zppo.progress import Quiet\n"
        "if __name__ == '__main__':\n"
        "    with start_workers(1) as (worker,):\n"
        f"        worker.do(partial(work.commit_slowly, Path({str(tmp_path)!r})), Quiet())\n"
    )
    file = tmp_path / "parent.py"
    file.write_text(program)
    parent = subprocess.Popen([sys.executable, str(file)], cwd=ROOT, env={"PYTHONPATH": str(ROOT)})
    while not (tmp_path / "1.committed").exists():
        assert parent.poll() is None
        time.sleep(0.01)
    children = psutil.Process(parent.pid).children(recursive=True)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
