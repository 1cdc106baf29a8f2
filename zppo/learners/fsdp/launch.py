"""The ranks as the training process sees them: started, asked, and found dead."""

import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from zppo.errors import EngineError
from zppo.learners.fsdp.failure import Failure
from zppo.learners.fsdp.job import Job, Work
from zppo.learners.fsdp.wire import Arrays, Channel, Command, Reply

START_SECONDS = 900.0
"""Until all ranks have loaded their models."""
_PATIENCE_SECONDS = 30.0
"""For the agent to end the ranks and itself, and for a rank to say which it is."""
_POLL_SECONDS = 0.1


class Ranks:
    """The rank processes, under an agent that ends all of them with one of them, or with this process."""

    def __init__(self, work: Work, device: Literal["cpu", "cuda"], scratch: Path) -> None:
        """Start them, and wait until they are ready.

        Args:
            work: What they compute.
            device: Where; on `cuda` each has the GPU of its number.
            scratch: A directory for this process alone.

        Raises:
            EngineError: One of them failed.
        """
        self._directory = Path(tempfile.mkdtemp(dir=scratch))
        token = secrets.token_hex(32)
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(_POLL_SECONDS)
            job = Job(work=work, device=device, port=server.getsockname()[1], token=token)
            job.write(self._directory / "job.json")
            self._agent = self._start(work.config.processes)
            self._channels: list[Channel] = []
            self._channels = self._accept(server, token, work.config.processes)

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

    def _start(self, processes: int) -> "subprocess.Popen[bytes]":
        program = [sys.executable, "-m", "zppo.learners.fsdp.agent"]
        arguments = [str(os.getpid()), str(self._directory / "job.json"), str(processes)]
        with (self._directory / "agent.log").open("wb") as log:
            return subprocess.Popen(
                [*program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _accept(self, server: socket.socket, token: str, processes: int) -> list[Channel]:
        """Connections to all ranks, in their order."""
        found: dict[int, Channel] = {}
        deadline = time.monotonic() + START_SECONDS
        while len(found) < processes:
            if time.monotonic() > deadline:
                self._agent.terminate()
            if self._agent.poll() is not None:
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
        return [found[rank] for rank in range(processes)]

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
        path = self._directory / Failure.FILE
        if path.exists():
            failure = Failure.model_validate_json(path.read_bytes())
            what = f"rank {failure.rank} of the learner {_ended(failure.exit_code)}"
            said = failure.said
        else:
            what = f"the learner's launcher {_ended(self._agent.returncode)}"
            said = (self._directory / "agent.log").read_text(errors="replace")[-2000:]
        return EngineError(
            f"{what}; the round is not committed, and everything that was committed is kept: resume the run, "
            "where the memory did not suffice in a fork of it (`zppo fork`) with more learner.processes or a "
            f"lower learner.max_batch_tokens. The end of its log:\n{said}"
        )


def _ended(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
