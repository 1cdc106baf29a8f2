"""A learner on two machines: two groups of processes over loopback that share nothing but the home."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import ValidationError

from schemas.config.machine import LearnerMachines
from tests.learning import tiny_fsdp, tiny_learner
from tests.tiny import tiny_model
from tests.unit.learners.fsdp.test_learner import BATCHES, RATE, assert_alike, distance, programs, updated
from zppo.errors import EngineError, InputError
from zppo.learners.fsdp.meeting import Invitation, accept, invite


def two_machines(start_seconds: float = 120.0) -> LearnerMachines:
    """This one, and another to come, at a port that is free."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    return LearnerMachines(nodes=2, rendezvous=address, start_seconds=start_seconds)


@contextmanager
def joining(machines: LearnerMachines, home: Path, own: Path) -> Iterator["subprocess.Popen[str]"]:
    """The other machine: its own machine file, working directory, temporary files and user's home."""
    (own / "tmp").mkdir(parents=True)
    (own / "machine.yaml").write_text(f"learner: {machines.model_dump_json()}")
    command = [sys.executable, "-m", "zppo", "join-learner", "--home", str(home), "--machine", "machine.yaml"]
    environment = os.environ | {"TMPDIR": str(own / "tmp"), "HOME": str(own)}
    with subprocess.Popen(command, cwd=own, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def said(process: "subprocess.Popen[str]") -> str:
    """What it wrote until it ended."""
    return process.communicate(timeout=60)[1]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_machines_learn_what_one_process_does_and_end_together(tmp_path: Path) -> None:
    model, home = tiny_model("llama"), tmp_path / "home"
    alone = tiny_learner(model, learning_rate=RATE, max_batch_tokens=40)
    machines = two_machines()
    with joining(machines, home, tmp_path / "other") as other:
        with tiny_fsdp(home, machines=machines, learning_rate=RATE, max_batch_tokens=40) as learner:
            for ours, theirs in zip(updated(learner, BATCHES[:3]), updated(alone, BATCHES[:3]), strict=True):
                assert_alike(ours, theirs)
            assert distance(learner.model, model) < 1e-5
            assert len(programs("rank", other.pid)) == 1
            assert len(programs("rank")) == 2
            learner.save(home / "checkpoint")
            learner.load(home / "checkpoint")
        said(other)
        assert other.returncode == 0
    assert not any((tmp_path / "other" / "tmp").iterdir())


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_rank_killed_on_the_other_machine_is_named_on_both_and_a_checkpoint_goes_on(tmp_path: Path) -> None:
    home, machines = tmp_path / "home", two_machines()
    with tiny_fsdp(home, machines=machines, learning_rate=RATE) as learner:
        with joining(machines, home, tmp_path / "other") as other:
            learner.save(home / "checkpoint")
            first = learner.update(BATCHES[0])
            os.kill(programs("rank", other.pid)[0].pid, signal.SIGKILL)
            with pytest.raises(EngineError, match="rank 1 of the learner was ended by SIGKILL"):
                updated(learner, BATCHES[1:])
            assert "rank 1 of the learner was ended by SIGKILL" in said(other)
            assert other.returncode == 1
        with joining(machines, home, tmp_path / "again"):
            learner.load(home / "checkpoint")
            assert learner.update(BATCHES[0]) == first
            learner.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_machine_that_is_lost_is_named(tmp_path: Path) -> None:
    home, machines = tmp_path / "home", two_machines()
    with (
        joining(machines, home, tmp_path / "other") as other,
        tiny_fsdp(home, machines=machines, learning_rate=RATE) as learner,
    ):
        learner.update(BATCHES[0])
        other.kill()
        with pytest.raises(EngineError, match="machine 1 of the learner"):
            updated(learner, BATCHES[1:])


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_machine_that_never_comes_is_an_error_within_the_bound(tmp_path: Path) -> None:
    with (
        tiny_fsdp(tmp_path, machines=two_machines(start_seconds=1.0)) as learner,
        pytest.raises(EngineError, match=r"1 of 2 machines came .* within 1 seconds.*\n?.*zppo join-learner"),
    ):
        learner.logprobs(BATCHES[0].rows)
    assert programs("agent") == []


def meet(machines: LearnerMachines, invitation: Invitation) -> None:
    with invite(machines, invitation):
        pass


def test_a_machine_that_was_told_something_else_says_so_and_is_not_counted(tmp_path: Path) -> None:
    machines, home, job = two_machines(), tmp_path / "home", tmp_path / "home" / "job.json"
    home.mkdir()
    job.touch()
    with ThreadPoolExecutor(1) as threads:
        met = threads.submit(meet, machines, Invitation(job=job, processes=1, nodes=2))
        with pytest.raises(InputError, match="mount one folder at the same path"):
            accept(machines, tmp_path / "elsewhere")
        with pytest.raises(InputError, match=r"learner\.nodes is 3 here, but 2"):
            accept(machines.model_copy(update={"nodes": 3}), home)
        assert accept(machines, home)[0] == 1
        met.result()


def test_processes_that_cannot_be_shared_out_evenly_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="evenly"), tiny_fsdp(tmp_path, 3, machines=two_machines()):
        pass


@pytest.mark.parametrize("rendezvous", ["node-1", ":29500", "node-1:0", "node-1:x", "node-1:70000", "::1"])
def test_a_rendezvous_that_is_no_address_is_refused(rendezvous: str) -> None:
    with pytest.raises(ValidationError, match="node-1:29500"):
        LearnerMachines(nodes=2, rendezvous=rendezvous)
