"""The command: what it prints, and its exit code."""

import json
from pathlib import Path

import pytest

from schemas.doctor import Finding, Level
from zppo.cli import main


def _examined(monkeypatch: pytest.MonkeyPatch, level: Level) -> None:
    found = Finding(check="store", level=level, found="as it is", todo="" if level == "ok" else "mend it")
    monkeypatch.setattr("zppo.doctor.examine.examine", lambda runtime, recipe, token: [found])


@pytest.mark.parametrize(("level", "code"), [("ok", 0), ("warning", 0), ("problem", 1)])
def test_the_exit_code_is_1_with_a_problem_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: Level, code: int
) -> None:
    _examined(monkeypatch, level)
    with pytest.raises(SystemExit) as caught:
        main(["doctor", "--home", str(tmp_path)])
    assert (caught.value.code or 0) == code


def test_json_is_one_finding_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _examined(monkeypatch, "warning")
    with pytest.raises(SystemExit):
        main(["doctor", "--home", str(tmp_path), "--json"])
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {"check": "store", "level": "warning", "found": "as it is", "todo": "mend it"}


def test_a_forced_promotion_needs_its_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--force"], ["--reason", "why"], ["--force", "--reason", " "]):
        with pytest.raises(SystemExit) as caught:
            main(["promote", "a", "--home", str(tmp_path), *arguments])
        assert caught.value.code == 2
        assert "--force and --reason TEXT go together" in capsys.readouterr().err
