"""What is read of a run to show it and to go on with it."""

import json
import shutil
from pathlib import Path

import pytest

from schemas.config.evaluation import CheckpointConfig
from tests.homes import Home, RunPlan
from zppo import runs
from zppo.errors import InputError, StoreError
from zppo.layout import RunPaths
from zppo.runs import RUN_FILE, read_run, read_run_to_resume, status
from zppo.stores.identity import identify
from zppo.stores.local import LocalStore

EVERY_THIRD = CheckpointConfig(every=3)


def test_the_status_of_a_long_run_reads_the_reports_that_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Home(tmp_path).run(RunPlan("a", rounds=8, scores={3: 0.25, 6: 0.5}, keep=EVERY_THIRD))
    read, asked = runs.read_report, list[int]()
    monkeypatch.setattr(
        runs, "read_report", lambda store, paths, index: asked.append(index) or read(store, paths, index)
    )
    shown = status(tmp_path, "a")
    assert asked == [3, 6, 8]
    assert (shown.rounds_done, shown.rounds, shown.validation) == (8, 9, ((3, 0.25), (6, 0.5)))


def test_the_status_of_a_fork_shows_the_validations_that_it_shares(tmp_path: Path) -> None:
    home = Home(tmp_path)
    plan = RunPlan("a", rounds=8, scores={3: 0.25, 6: 0.5}, checkpoints=(0, 3), keep=EVERY_THIRD)
    home.run(plan)
    home.fork(plan, "fork", 5)
    assert status(tmp_path, "fork").validation == ((3, 0.25),)


def test_a_record_with_a_setting_of_a_newer_version_is_refused_by_its_name(tmp_path: Path) -> None:
    Home(tmp_path).run(RunPlan("a"))
    content = json.loads((tmp_path / "a" / "run" / RUN_FILE).read_bytes()) | {"of_tomorrow": 1}
    shutil.rmtree(tmp_path / "a" / "run")
    with LocalStore(tmp_path).commit(RunPaths("a").manifest, identify("run", {})) as staging:
        (staging.directory / RUN_FILE).write_text(json.dumps(content))
    with pytest.raises(StoreError, match=r"run\.json is of another version of zppo \(of_tomorrow: unknown"):
        read_run(tmp_path, "a")


def test_an_artifact_of_a_newer_version_is_refused_by_its_file_in_the_status_too(tmp_path: Path) -> None:
    Home(tmp_path).run(RunPlan("a"))
    path = RunPaths("a").evaluation
    with LocalStore(tmp_path).commit(path, identify("evaluate", {})) as staging:
        (staging.directory / "evaluation.json").write_text('{"schema_version": 99}')
    with pytest.raises(
        StoreError, match=r"cannot read .*a/evaluate/evaluation\.json: .*written by a newer program"
    ):
        status(tmp_path, "a")


def test_a_run_of_a_study_is_resumed_by_its_study(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for name in ("few.zppo.s0", "few.s0", "alone.zppo.s0"):
        home.run(RunPlan(name, rounds=0, checkpoints=()))
    (tmp_path / "studies" / "few").mkdir(parents=True)
    with pytest.raises(InputError, match=r"resume the study instead.*zppo study few"):
        read_run_to_resume(tmp_path, "few.zppo.s0")
    assert read_run_to_resume(tmp_path, "few.s0").name == "few.s0"
    assert read_run_to_resume(tmp_path, "alone.zppo.s0").name == "alone.zppo.s0"


def test_the_status_of_one_run_shows_its_last_rounds_and_their_speed(tmp_path: Path) -> None:
    from tests.stories import Story
    from zppo.display import rounds_text
    from zppo.runs import last_rounds

    Story(tmp_path)
    assert rounds_text(last_rounds(tmp_path, "story")) == "No round is committed yet."
    Story(tmp_path, "longer").rounds(4)
    lines = rounds_text(last_rounds(tmp_path, "longer", 3)).splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["2", "3", "4"]
    assert lines[0].split()[-1] == "seconds"
    assert lines[-1].startswith("Speed: 5.1 s a round, ")
