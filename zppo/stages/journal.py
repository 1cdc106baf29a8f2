"""The journal of questions that a teacher has answered, by which asking it resumes."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from schemas.teacher import AnsweredQuestion
from zppo.errors import StoreError
from zppo.stores.files import DiskErrors
from zppo.stores.local import LocalStore
from zppo.stores.locks import Holder, turn

JOURNAL, SECONDS = "answered.jsonl", "seconds.txt"


class Journal:
    """Finished questions, one JSON line each, appended and synced in batches."""

    def __init__(self, directory: Path) -> None:
        """Open the journal in a directory, made if need be; a torn last line is dropped."""
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / JOURNAL
        self._path.touch()
        _drop_torn_line(self._path)
        self._seconds = directory / SECONDS
        self._since = time.monotonic()

    def append(self, answered: Sequence[AnsweredQuestion]) -> None:
        """Add questions; they are on disk when this returns."""
        with DiskErrors(self._path), self._path.open("ab") as file:
            file.write(b"".join(each.model_dump_json().encode() + b"\n" for each in answered))
            file.flush()
            os.fsync(file.fileno())
        self._add_seconds()

    @property
    def seconds(self) -> float:
        """Time that all processes spent on the questions that they added."""
        if not self._seconds.is_file():
            return 0.0
        return sum(float(line) for line in self._seconds.read_text().split())

    def _add_seconds(self) -> None:
        """Write down the time since the journal was opened, or since the last questions were added."""
        now = time.monotonic()
        with DiskErrors(self._seconds), self._seconds.open("a") as file:
            # The line break comes first, so that a time never joins a line that a crash tore.
            file.write(f"\n{now - self._since:.3f}")
        self._since = now

    def read(self) -> Iterator[AnsweredQuestion]:
        """All questions in the order added, one at a time.

        Raises:
            StoreError: A line is damaged.
        """
        for _, answered in self._placed():
            yield answered

    def read_in_order(self, question_ids: Sequence[str]) -> Iterator[AnsweredQuestion]:
        """The questions in another order, one at a time; only their places are held in memory."""
        places = {answered.question_id: place for place, answered in self._placed()}
        with self._path.open("rb") as file:
            for question_id in question_ids:
                file.seek(places[question_id])
                yield AnsweredQuestion.model_validate_json(file.readline())

    def _placed(self) -> Iterator[tuple[int, AnsweredQuestion]]:
        """Each question with the place of its line."""
        place = 0
        with self._path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield place, AnsweredQuestion.model_validate_json(line)
                except ValidationError as error:
                    raise StoreError(
                        f"{self._path}, line {number}: expected the teacher's responses to one question, but "
                        f"{error.errors()[0]['msg']}; remove the file to ask the teacher again"
                    ) from None
                place += len(line)


@contextmanager
def in_turn(store: LocalStore, path: str, say: Callable[[str], None]) -> Iterator[None]:
    """Hold a journal's directory until its artifact is committed, so that no two processes ask the same.

    Another process that holds it is waited for. At the end it is removed; an error leaves it.

    Args:
        store: Has the directory.
        path: Of the directory; made if need be.
        say: Told whom this process waits for.
    """

    def waits(other: Holder) -> None:
        say(f"waits for process {other.pid} on {other.host}, which asks the teacher the same questions")

    with turn(store.home / path, waits=waits):
        yield
        store.remove(path)  # whole and at once, since those that wait may make it anew at any moment


def _drop_torn_line(path: Path) -> None:
    """Cut off what a crash left after the last complete line."""
    end = 0
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                end += len(line)
    if end != path.stat().st_size:
        os.truncate(path, end)
