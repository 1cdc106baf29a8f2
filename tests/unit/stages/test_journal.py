"""The journal's clock."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.teacher import AnsweredQuestion
from zppo.stages import journal
from zppo.stages.journal import SECONDS, Journal


def answered(id: str) -> list[AnsweredQuestion]:
    return [AnsweredQuestion(question_id=id, responses=(), seconds=0.0)]


def test_the_time_of_all_processes_is_kept_but_for_what_a_kill_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock: Iterator[float] = iter([100.0, 102.5, 103.0, 900.0, 901.0])
    monkeypatch.setattr(journal.time, "monotonic", lambda: next(clock))
    first = Journal(tmp_path)
    assert first.seconds == 0.0
    first.append(answered("a"))
    first.append(answered("b"))
    # The process is killed while it writes a line, and another one goes on an hour later.
    with (tmp_path / SECONDS).open("a") as file:
        file.write("\n")
    second = Journal(tmp_path)
    second.append(answered("c"))
    assert second.seconds == pytest.approx(2.5 + 0.5 + 1.0)
    assert [each.question_id for each in second.read()] == ["a", "b", "c"]
