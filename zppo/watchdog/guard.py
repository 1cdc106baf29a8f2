"""The watched process's side: engines that tell a process of their own when they sample, and how it goes."""

import faulthandler
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from schemas.config.models import DecodingConfig
from zppo.ports import Finished, Generation, GenerationFailure, GenerationRequest, RolloutEngine
from zppo.watchdog import watcher
from zppo.watchdog.watcher import BOARD_BYTES, DUMP, Board

if TYPE_CHECKING:
    from torch import nn

GRACE_SECONDS = 30.0
"""Between SIGTERM and SIGKILL; a run that is asked to stop waits for its next commit for less than that."""
_HANG, _TOLD = "hang.txt", "hang-told.txt"
_ELSEWHERE = "outside the rounds"


class Watchdog:
    """Bounds the time in which sampling may make no progress, hangs in native code included.

    A process is started with the first sampling. When the watched one hangs, it writes what was going on
    into the run's directory and to standard error, asks the hanging process to end, and kills it where
    that does not help. A context manager; with `seconds` 0 it does nothing.
    """

    def __init__(self, run: str, directory: Path, seconds: float) -> None:
        """Watch the sampling of a run in `directory`."""
        self._run = run
        self._directory = directory
        self._seconds = seconds
        self._place: Callable[[], str] = lambda: _ELSEWHERE
        self._process: subprocess.Popen[bytes] | None = None
        self._shared = tempfile.TemporaryFile()  # noqa: SIM115, both are closed at the end
        self._stacks = tempfile.TemporaryFile()  # noqa: SIM115
        self._shared.truncate(BOARD_BYTES)
        self._board = Board(self._shared.fileno())

    def __enter__(self) -> Self:
        """Nothing starts before the first sampling."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the watching process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            faulthandler.unregister(DUMP)
        self._shared.close()
        self._stacks.close()

    def engine(self, engine: RolloutEngine, module: "nn.Module") -> RolloutEngine:
        """The engine, watched; every call of its module is progress, and costs a few microseconds more."""
        if not self._seconds:
            return engine
        module.register_forward_hook(self._beat)
        return _Watched(engine, self)

    @contextmanager
    def during(self, place: Callable[[], str]) -> Iterator[None]:
        """Inside, a report says that sampling hung at this place, such as `of round 7`."""
        before, self._place = self._place, place
        try:
            yield
        finally:
            self._place = before

    @contextmanager
    def watching(self, requests: Sequence[str]) -> Iterator[None]:
        """Watch the block, which samples the requests of these ids."""
        self._start()
        self._board.begin(f"{self._place()}\n{len(requests)} requests in flight: {', '.join(requests)}")
        try:
            yield
        finally:
            self._board.end()

    def _beat(self, *_: Any) -> None:
        self._board.beat()

    def _start(self) -> None:
        """Start the watching process, or another one should it have died."""
        if self._process is not None and self._process.poll() is None:
            return
        faulthandler.register(DUMP, self._stacks)
        file = self._directory / _HANG
        descriptors = (self._shared.fileno(), self._stacks.fileno())
        arguments = (os.getpid(), *descriptors, self._seconds, GRACE_SECONDS, self._run, file)
        # A session of its own: what a terminal or a service manager sends to the group is not for it.
        self._process = subprocess.Popen(
            [sys.executable, "-P", watcher.__file__, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=descriptors,
            start_new_session=True,
        )


def tell_of_hang(directory: Path, say: Callable[[str], None]) -> None:
    """Say once, at the next start, that the watchdog ended the last process of a run, and why."""
    found, told = directory / _HANG, directory / _TOLD
    if found.exists():
        found.replace(told)
        sentence = told.read_text().partition("\n")[0]
        say(f"the last process was ended by the watchdog: {sentence}; stacks in {told}")


class _Watched:
    """A `RolloutEngine` whose sampling is watched."""

    def __init__(self, engine: RolloutEngine, watchdog: Watchdog) -> None:
        self._engine = engine
        self._watchdog = watchdog

    def encode(self, text: str) -> tuple[int, ...]:
        """As the engine does."""
        return self._engine.encode(text)

    def tokenize(self, text: str) -> tuple[int, ...]:
        """As the engine does."""
        return self._engine.tokenize(text)

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        decoding: DecodingConfig,
        finished: Finished | None = None,
    ) -> list[tuple[Generation | GenerationFailure, ...]]:
        """As the engine does, with its requests named to the watchdog."""
        with self._watchdog.watching([request.id for request in requests]):
            return self._engine.generate(requests, decoding, finished)
