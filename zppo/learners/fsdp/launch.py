"""The ranks as the training process sees them: started, asked, and found dead."""

import os
import secrets
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from schemas.config.machine import LearnerMachines
from zppo.errors import EngineError, InputError
from zppo.learners.fsdp.failure import Failure, cause, ended, failures
from zppo.learners.fsdp.job import Job, Work
from zppo.learners.fsdp.wire import Arrays, Channel, Command, Reply

START_SECONDS = 900.0
"""Until all ranks have loaded their models."""
_PATIENCE_SECONDS = 30.0
"""For the agent to end the ranks and itself, and for a rank to say which it is."""
_WORD_SECONDS = 15.0
"""For the agents of other machines to say what became of their ranks."""
_POLL_SECONDS = 0.1


class Ranks:
    """The rank processes, under an agent that ends all of them with one of them, or with this process."""

    def __init__(
        self,
        work: Work,
        device: Literal["cpu", "cuda"],
        scratch: Path,
        machines: LearnerMachines | None = None,
    ) -> None:
        """Start them, and wait until they are ready.

        Args:
            work: What they compute.
            device: Where; on `cuda` each has the GPU of its number.
            scratch: A directory for this process alone; where there are further machines, one that they see.
            machines: This one and further ones; none: this one has all of them.

        Raises:
            EngineError: One of them failed, or another machine did not come.
            InputError: The rendezvous is not at this machine.
        """
        self._machines, self._processes = machines, work.config.processes
        self._directory = Path(tempfile.mkdtemp(dir=scratch))
        token = secrets.token_hex(32)
        self._channels: list[Channel] = []
        host = machines.address[0] if machines else "127.0.0.1"
        with _listen(host) as server:
            server.settimeout(_POLL_SECONDS)
            job = Job(work=work, device=device, host=host, port=server.getsockname()[1], token=token)
            job.write(self._directory / "job.json")
            self._agent = self._start()
            self._channels = self._accept(server, token)

    def ask(self, command: Command, arrays: Arrays | None = None) -> tuple[Reply, Arrays]:
        """Have all ranks carry out a command; returns what the first one answers.

        Raises:
            EngineError: A rank ended; the others were ended too.
        """
        head, body = command.model_dump_json().encode(), save(dict(arrays or {}))
        try:
            for channel in self._channels:
                channel.send_bytes(head, body)
            return self._answer()
        except (OSError, EOFError) as error:
            raise self._failed() from error

    def stop(self) -> None:
        """End all of them."""
        for channel in self._channels:
            with suppress(OSError):  # one that is gone already
                channel.send(Command(do="end"))
            channel.close()
        self._wait()

    def _wait(self) -> None:
        for end in (self._agent.terminate, self._agent.kill):  # after the latter the ranks end by themselves
            try:
                self._agent.wait(_PATIENCE_SECONDS)
                return
            except subprocess.TimeoutExpired:
                end()
        self._agent.wait()

    def _start(self) -> "subprocess.Popen[bytes]":
        program = [sys.executable, "-m", "zppo.learners.fsdp.agent"]
        here = self._processes // (self._machines.nodes if self._machines else 1)
        arguments = [str(os.getpid()), str(self._directory / "job.json"), str(here)]
        if self._machines:
            arguments.append(self._machines.model_dump_json())
        with (self._directory / "agent.log").open("wb") as log:
            return subprocess.Popen(
                [*program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _accept(self, server: socket.socket, token: str) -> list[Channel]:
        """Connections to all ranks, in their order."""
        found: dict[int, Channel] = {}
        waiting = self._machines.start_seconds if self._machines else 0.0
        deadline = time.monotonic() + waiting + START_SECONDS
        while len(found) < self._processes:
            if time.monotonic() > deadline:
                self._agent.terminate()
            if self._agent.poll() is not None:
                self._channels = list(found.values())
                raise self._failed()
            try:
                channel = Channel(server.accept()[0])
            except TimeoutError:
                continue
            rank = channel.introduced(token, _PATIENCE_SECONDS)
            if rank is None:
                channel.close()
            else:
                found[rank] = channel
        return [found[rank] for rank in range(self._processes)]

    def _answer(self) -> tuple[Reply, dict[str, NDArray[np.generic]]]:
        """What the first rank says; whoever else becomes readable has hung up."""
        while self._agent.poll() is None:
            readable: Sequence[Channel] = select.select(self._channels, [], [], _POLL_SECONDS)[0]
            if self._channels[0] in readable:
                said, arrays = self._channels[0].receive()
                return Reply.model_validate_json(said), arrays
            if readable:
                break
        raise EOFError("a rank is gone")

    def _failed(self) -> EngineError:
        """What to say of a rank that ended, once the agent has ended the others."""
        self._wait()
        for channel in self._channels:
            channel.close()
        what, said = self._what_failed()
        return EngineError(
            f"{what}; the round is not committed, and everything that was committed is kept: resume the run, "
            "where the memory did not suffice in a fork of it (`zppo fork`) with more learner.processes or a "
            f"lower learner.max_batch_tokens. The end of its log:\n{said}"
        )

    def _what_failed(self) -> tuple[str, str]:
        """Who ended first, and the end of its log."""
        found, silent = self._words()
        if found and (not silent or cause(found).exit_code < 0):
            return cause(found).sentence, cause(found).said
        if found:
            return f"machine {silent[0]} of the learner, counted from 0, is gone", cause(found).said
        log = (self._directory / "agent.log").read_text(errors="replace")[-2000:]
        return f"the learner's launcher {ended(self._agent.returncode)}", log

    def _words(self) -> tuple[list[Failure], list[int]]:
        """What machines say of their ranks once all have had time to, and the machines that say nothing."""
        nodes = self._machines.nodes if self._machines else 1
        deadline = time.monotonic() + (_WORD_SECONDS if nodes > 1 else 0.0)
        while True:
            found = failures(self._directory, nodes)
            silent = [node for node in range(1, nodes) if node not in found]
            settled = not silent or any(each.exit_code < 0 for each in found.values())
            if settled or time.monotonic() > deadline:
                return list(found.values()), silent
            time.sleep(_POLL_SECONDS)


def _listen(host: str) -> socket.socket:
    try:
        return socket.create_server((host, 0))
    except OSError as error:
        raise InputError(
            f"learner.rendezvous of the machine file names the host {host!r}, at which this machine cannot "
            f"listen ({error}); name the one that zppo run or resume is started on"
        ) from error
