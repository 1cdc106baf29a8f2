"""vLLM servers that somebody else started, and those that this process starts, watches and stops."""

import asyncio
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from zppo.engines.vllm import guardian
from zppo.engines.vllm.client import VllmClient
from zppo.engines.vllm.faults import ServerFault
from zppo.errors import EngineError, InputError

PATIENCE_SECONDS = 10.0
"""For a server to end by itself before it is killed."""
_POLL_SECONDS = 0.25
_TAIL_LINES = 15
_MOST_BYTES = 1 << 20
_ERROR = re.compile(r"\bERROR\b.*?\b(\w+(?:Error|Exception): .*)")
_NOISE = ("nanobind: ", " - leaked ", " - ... ", "See https://nanobind", "  warnings.warn(")


class Server(Protocol):
    """One server."""

    @property
    def url(self) -> str:
        """Where it answers."""
        ...

    @property
    def name(self) -> str:
        """For messages."""
        ...

    def start(self) -> None:
        """Make sure that it runs; it may not answer yet."""
        ...

    async def wait_until_healthy(self, client: VllmClient) -> None:
        """Return when it can work, at once where it has since it was started.

        Raises `ServerFault` when it cannot in time.
        """
        ...

    def check_alive(self) -> None:
        """Raise `ServerFault` when it is known to have ended."""
        ...

    def stop(self) -> None:
        """End it and all of its processes; a server of somebody else's is left alone."""
        ...

    def last_words(self) -> str:
        """The end of its log, as a sentence; empty where that is not at hand."""
        ...


class GivenServer:
    """A server that runs already."""

    def __init__(self, url: str, start_seconds: float) -> None:
        """Nothing is asked yet.

        Args:
            url: Its address.
            start_seconds: Longest time that it may take to come back after a fault.
        """
        self.url = url
        self._start_seconds = start_seconds
        self._ready = False

    @property
    def name(self) -> str:
        """Its address."""
        return self.url

    def start(self) -> None:
        """Somebody else's business."""

    async def wait_until_healthy(self, client: VllmClient) -> None:
        """Give it time to come up, and after a fault to come back, should somebody restart it."""
        if not self._ready:
            await _healthy(client, self._start_seconds, self.check_alive)
            self._ready = True

    def check_alive(self) -> None:
        """Its processes are out of sight."""

    def stop(self) -> None:
        """Somebody else's business; from now on it is not taken for ready."""
        self._ready = False

    def last_words(self) -> str:
        """Its log is out of sight."""
        return ""


class ManagedServer:
    """A server in a process tree of its own, under a guardian that ends it with this process."""

    def __init__(
        self, name: str, command: Sequence[str], environment: dict[str, str], log: Path, start_seconds: float
    ) -> None:
        """Nothing is started yet.

        Args:
            name: For messages.
            command: Program and arguments; `--port` and the port follow them.
            environment: All of the server's.
            log: File that the server's output is added to.
            start_seconds: Longest time until it can work.
        """
        self.name = name
        self._command = command
        self._environment = environment
        self._log = log
        self._start_seconds = start_seconds
        self._port = 0
        self._began = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = self._ever_ready = False

    @property
    def url(self) -> str:
        """Where it answers; another port after each start."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it unless it runs.

        Raises:
            InputError: There is no such program.
        """
        if self._process is not None:
            return
        program = self._command[0]
        if not os.access(program, os.X_OK):
            raise InputError(
                f"{self.name}: there is no program {program}; make vLLM's environment with `make vllm-env`, "
                "or name its interpreter, or running servers (urls), under `vllm` in the machine file"
            )
        self._port = free_port()
        self._log.parent.mkdir(parents=True, exist_ok=True)
        guard = [sys.executable, "-I", guardian.__file__, str(os.getpid()), str(PATIENCE_SECONDS)]
        with self._log.open("ab") as output:
            self._began = output.tell()
            self._process = subprocess.Popen(
                [*guard, *self._command, "--port", str(self._port)],
                env=self._environment,
                cwd=self._log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    async def wait_until_healthy(self, client: VllmClient) -> None:
        """Return when it can work.

        Raises:
            EngineError: It never did: another start would end alike.
            ServerFault: It did once, but not this time.
        """
        if self._ready:
            return
        try:
            await _healthy(client, self._start_seconds, self.check_alive)
        except ServerFault as fault:
            if self._ever_ready:
                raise
            self.stop()
            said = f"the vLLM server {self.name} does not start: {fault}. {self.last_words()}"
            raise EngineError(said) from fault
        self._ready = self._ever_ready = True

    def check_alive(self) -> None:
        """Raise `ServerFault` when its process has ended."""
        code = None if self._process is None else self._process.poll()
        if code is not None:
            raise ServerFault(f"its process ended with exit code {code}")

    def stop(self) -> None:
        """End it and all of its processes."""
        self._ready = False
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(2 * PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def last_words(self) -> str:
        """The first error since it was started, and the end of its log.

        What libraries say of themselves when a process ends is left out.
        """
        with self._log.open("rb") as log:
            log.seek(self._began)
            begin = log.read(_MOST_BYTES).decode(errors="replace")
            log.seek(max(self._began, log.seek(0, os.SEEK_END) - _MOST_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
        error = _ERROR.search(begin)
        first = f"Its first error: {error[1]}. " if error else ""
        telling = [line for line in lines if not line.startswith(_NOISE)][-_TAIL_LINES:]
        return f"{first}The end of its log, {self._log}:\n" + "\n".join(telling)


async def _healthy(client: VllmClient, seconds: float, check_alive: Callable[[], None]) -> None:
    """Return when a server that is coming up can work."""
    deadline = time.monotonic() + seconds
    while not await client.healthy():
        check_alive()
        if time.monotonic() > deadline:
            raise ServerFault(f"it was not ready within {seconds:g} s")
        await asyncio.sleep(_POLL_SECONDS)


def free_port() -> int:
    """A port on the loopback interface that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
