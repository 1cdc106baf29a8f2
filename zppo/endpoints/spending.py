"""What is spent at an endpoint, written down request by request, so that a kill loses none of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from pydantic import ValidationError

from schemas.spend import Spend


class SpendLog:
    """A file with a line of JSON for every addition.

    It is written without being synced: it survives a kill of the process, while a power cut may cost its
    last seconds.
    """

    def __init__(self, path: Path):
        """Open a log, which need not be there yet."""
        self._path = path

    def add(self, more: Spend) -> None:
        """Append one addition."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            # The line break comes first, so that an addition never joins a line that a crash tore.
            file.write(b"\n" + more.model_dump_json(exclude_defaults=True).encode())

    def total(self) -> Spend:
        """The sum of all additions; a line that a crash tore counts as nothing."""
        if not self._path.is_file():
            return Spend()
        with self._path.open("rb") as file:
            return sum(map(_read, file), Spend())


class Meter:
    """Counts what is spent, for a log of the run, and for whoever asks what was spent since."""

    def __init__(self, log: SpendLog):
        self._logs = [log]
        self._lock = Lock()
        self._since = Spend()

    def add(self, more: Spend) -> None:
        """One addition; may be called from any thread."""
        with self._lock:
            self._since += more
            for log in self._logs:
                log.add(more)

    def take(self) -> Spend:
        """What was spent since this was asked last."""
        with self._lock:
            since, self._since = self._since, Spend()
            return since

    @contextmanager
    def also(self, log: SpendLog) -> Iterator[None]:
        """Write additions to a second log as well."""
        with self._lock:
            self._logs.append(log)
        try:
            yield
        finally:
            with self._lock:
                self._logs.remove(log)


def _read(line: bytes) -> Spend:
    try:
        return Spend.model_validate_json(line)
    except ValidationError:
        return Spend()
